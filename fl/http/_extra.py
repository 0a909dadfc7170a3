"""Says which extra is missing, before anything of the package fails on it.  Imported first."""

from __future__ import annotations

from importlib import import_module

for module in ("httpx", "prometheus_client", "starlette", "uvicorn"):
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ModuleNotFoundError(
            f'sottovoce.fl.http needs {module}: pip install "sottovoce[http]"', name=module
        ) from None
