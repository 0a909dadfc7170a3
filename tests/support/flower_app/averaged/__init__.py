"""An app whose updates a test knows in advance; AVERAGED_FAULTS (a folder) makes nodes misbehave."""
