"""The exceptions: one family, messages without secrets, fields as documented."""

import inspect
import pickle

import pytest

from sottovoce._ext import errors

ALL = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]


@pytest.mark.parametrize("cls", ALL, ids=lambda c: c.__name__)
def test_belongs_to_the_family_and_is_documented(cls):
    assert issubclass(cls, errors.SottovoceError)
    assert cls.__doc__


@pytest.mark.parametrize(
    ("cls", "also"),
    [
        (errors.ParameterError, ValueError),
        (errors.RangeError, errors.ParameterError),
        (errors.DecodeError, ValueError),
        (errors.KernelUnavailable, RuntimeError),
    ],
)
def test_is_also_what_a_caller_expects(cls, also):
    assert issubclass(cls, also)


def test_opaque_errors_always_say_the_same():
    for cls in (errors.UnsigncryptError, errors.OverflowDetected):
        assert str(cls()) == str(cls())
        with pytest.raises(TypeError):
            cls("a reason")


def test_too_many_erasures_tells_needed_and_present():
    error = errors.TooManyErasures(3, 2)
    assert (error.needed, error.present) == (3, 2)
    assert str(error) == "3 shards needed, 2 present"


def test_signature_error_names_the_bad_ones():
    assert errors.SignatureError().bad_indices == ()
    assert errors.SignatureError("batch", (1, 4)).bad_indices == (1, 4)


def test_reed_solomon_error_names_the_word():
    assert errors.ReedSolomonError("word 3: too short", 3).word == 3
    assert errors.ReedSolomonError("erasures: too many").word is None


def test_proof_error_tells_whether_the_share_was_the_committed_one():
    assert errors.ProofError().committed is False
    assert errors.ProofError("misfit", True).committed is True


def test_errors_survive_a_process_pool():
    # A worker's exception is pickled; one that cannot be rebuilt kills the pool instead.
    for error in (
        errors.ParameterError("k: too small"),
        errors.UnsigncryptError(),
        errors.OverflowDetected(),
        errors.ReedSolomonError("word 3: too short", 3),
        errors.SignatureError("batch", (2,)),
        errors.TooManyErasures(3, 2),
        errors.ProofError("key share", True),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
