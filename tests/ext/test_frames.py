"""Frames emptied of their variables, along the whole chain of errors."""

from sottovoce._ext.frames import forget


def variables(error):
    tb, found = error.__traceback__, {}
    while tb:
        found[tb.tb_frame.f_code.co_name] = dict(tb.tb_frame.f_locals)
        tb = tb.tb_next
    return found


def inner(secret):
    raise KeyError("first")


def outer(secret):
    try:
        inner(secret)
    except KeyError as error:
        raise ValueError("second") from error


def generator(secret):
    yield secret
    outer(secret)


def test_every_frame_that_was_left_is_empty():
    def run():
        try:
            list(generator("secret"))
        except ValueError as error:
            before.update(variables(error))
            forget(error)
            kept.append(error)

    before, kept = {}, []
    run()
    (error,) = kept
    assert before["outer"]["secret"] == before["generator"]["secret"] == "secret"
    left = variables(error)
    assert left.pop("run")["kept"] is kept  # it was still running
    assert left == {"generator": {}, "outer": {}}
    assert variables(error.__cause__) == {"outer": {}, "inner": {}}
    assert error.args == ("second",)


def test_errors_that_hang_on_each_other_in_a_circle():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__context__ = two, one
    forget(one)
    assert one.__cause__ is two
