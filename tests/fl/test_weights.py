"""Weights of frameworks as lists of arrays: one order, names in errors, and torch never imported."""

import subprocess
import sys
from collections import OrderedDict
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from sottovoce import he
from sottovoce.clsc import ParameterError
from sottovoce.fl import weights
from sottovoce.he import RangeError

RNG = np.random.default_rng(7)


def fake_torch():
    """The part of torch's interface that is used, over numpy; bfloat16 is float32 cut to 16 bits."""
    torch = ModuleType("torch")
    for name in ("float16", "bfloat16", "float32", "float64", "int64", "bool", "complex64", "float8_e5m2"):
        setattr(torch, name, f"torch.{name}")
    torch.strided, torch.sparse_coo = "torch.strided", "torch.sparse_coo"

    def round_to(values, dtype):
        if dtype == torch.bfloat16:
            with np.errstate(over="ignore"):
                bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
            return ((bits + np.uint32(0x8000)) & np.uint32(0xFFFF0000)).view(np.float32).reshape(values.shape)
        with np.errstate(over="ignore"):
            return values.astype(dtype.removeprefix("torch."))

    class Tensor:
        is_quantized = False
        layout = torch.strided

        def __init__(self, values, dtype, device="cpu"):
            self.values, self.dtype = round_to(np.asarray(values), dtype), dtype
            self.device = SimpleNamespace(type=device)

        shape = property(lambda self: self.values.shape)

        def detach(self):
            return self

        def cpu(self):
            return Tensor(self.values, self.dtype)

        def clone(self):
            return Tensor(self.values.copy(), self.dtype, self.device.type)

        def float(self):
            return Tensor(self.values, torch.float32)

        def numpy(self):
            if self.device.type != "cpu" or self.dtype == torch.bfloat16:
                raise TypeError("can't convert")
            return self.values

        def is_complex(self):
            return self.values.dtype.kind == "c"

        def is_floating_point(self):
            return self.values.dtype.kind == "f"

        def isfinite(self):
            return np.isfinite(self.values)

        def to(self, dtype, device):
            return Tensor(self.values, dtype, device.type)

    torch.Tensor = Tensor
    torch.from_numpy = lambda values: Tensor(values, f"torch.{values.dtype.name}")
    return torch


@pytest.fixture
def torch(monkeypatch):
    module = fake_torch()
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


def numpy_state():
    return {
        "b.weight": RNG.normal(size=(3, 4)).astype(np.float32),
        "a.bias": RNG.normal(size=(5,)).astype(np.float16),
        "a.steps": np.array(41, dtype=np.int64),
        "c": RNG.normal(size=()).astype(np.float64).reshape(()),
        "mask": np.array([True, False]),
    }


class TestNumpy:
    def test_a_list_keeps_its_order(self):
        model = [RNG.normal(size=s).astype(t) for s, t in (((2, 3), "f4"), ((4,), "f8"), ((1, 1), "f2"))]
        arrays = weights.to_arrays(model)
        assert [a.dtype for a in arrays] == [a.dtype for a in model]
        for a, b in zip(model, weights.from_arrays(tuple(model), arrays), strict=True):
            assert np.array_equal(a, b)
            assert a.dtype == b.dtype
        assert weights.names(model) == ("0", "1", "2")
        assert he.ModelLayout.of(arrays) == he.ModelLayout.of(model)

    def test_names_give_the_order_whatever_the_mapping_was_filled_in(self):
        state = numpy_state()
        turned = OrderedDict(reversed(state.items()))
        assert weights.names(state) == weights.names(turned) == ("a.bias", "b.weight", "c")
        for a, b in zip(weights.to_arrays(state), weights.to_arrays(turned), strict=True):
            assert np.array_equal(a, b)
        back = weights.from_arrays(turned, weights.to_arrays(state))
        assert list(back) == list(turned)

    def test_comes_back_with_names_dtypes_and_what_took_no_part(self):
        state = numpy_state()
        doubled = [2 * a for a in weights.to_arrays(state)]
        back = weights.from_arrays(state, doubled)
        for name, value in state.items():
            taking_part = value.dtype.kind == "f"
            assert np.array_equal(back[name], 2 * value if taking_part else value)
            assert (back[name].dtype, back[name].shape) == (value.dtype, value.shape)
            assert not np.shares_memory(back[name], value)

    def test_training_afterwards_changes_nothing(self):
        state = numpy_state()
        arrays = weights.to_arrays(state)
        kept = arrays[1].copy()
        state["b.weight"] += 1
        assert np.array_equal(arrays[1], kept)

    def test_a_difference_of_numbers_is_an_array_again(self):
        state = {"scale": np.array(2.5)}
        update = {name: 2 * value for name, value in state.items()}
        assert type(update["scale"]) is np.float64
        arrays = weights.to_arrays(update)
        assert type(arrays[0]) is np.ndarray
        assert weights.from_arrays(state, [update["scale"]])["scale"].shape == ()

    def test_strides_and_byte_order_go(self):
        wide = RNG.normal(size=(4, 6)).astype(">f4")
        array = weights.to_arrays({"w": wide[::2, ::3].T})[0]
        assert array.dtype == np.float32
        assert array.dtype.isnative
        assert array.flags.c_contiguous
        assert np.array_equal(array, wide[::2, ::3].T)
        assert weights.from_arrays({"w": wide}, [np.ones((4, 6))])["w"].dtype == np.dtype(">f4")

    @pytest.mark.parametrize("value", [[1.0], 1.0, None, "x", np.ma.masked_array([1.0])])
    def test_an_entry_that_is_no_array_is_named(self, value):
        for call in (weights.names, weights.to_arrays):
            with pytest.raises(TypeError, match="conv1: numpy array or torch tensor expected"):
                call({"conv1": value})

    @pytest.mark.parametrize("dtype", ["c8", "longdouble", "O", "U3", "M8[s]"])
    def test_an_entry_of_another_dtype_is_named(self, dtype):
        with pytest.raises(ParameterError, match="conv1: float16, float32 or float64 expected"):
            weights.to_arrays({"conv1": np.zeros(2, dtype)})

    @pytest.mark.parametrize("value", [np.zeros(3), 5, "abc", b"abc", None, iter([]), {1: np.zeros(1)}])
    def test_other_things_than_lists_and_mappings(self, value):
        with pytest.raises(TypeError, match="weights: "):
            weights.to_arrays(value)

    def test_a_module_is_not_its_weights(self):
        module = SimpleNamespace(state_dict=dict)
        with pytest.raises(TypeError, match=r"its state_dict\(\) expected"):
            weights.to_arrays(module)

    @pytest.mark.parametrize("value", [[], {}, {"steps": np.array(3)}])
    def test_nothing_to_average(self, value):
        with pytest.raises(ParameterError, match="no floating-point entry"):
            weights.to_arrays(value)

    def test_what_does_not_fit_back_is_named(self):
        template = {"w": np.zeros((2, 3), np.float16), "v": np.zeros(1)}
        good = [np.zeros(1), np.zeros((2, 3))]
        weights.from_arrays(template, good)
        with pytest.raises(ParameterError, match="2 expected, got 1"):
            weights.from_arrays(template, good[:1])
        for wrong in (np.zeros((3, 2)), np.zeros(6), np.zeros((2, 3), int)):
            with pytest.raises(ParameterError, match=r"w: floats of shape \(2, 3\) expected"):
                weights.from_arrays(template, [good[0], wrong])
        for value in (1e5, np.nan, np.inf):
            with pytest.raises(RangeError, match="w: not finite as float16"):
                weights.from_arrays(template, [good[0], np.full((2, 3), value)])
        with pytest.raises(TypeError, match="w: numpy array expected"):
            weights.from_arrays(template, [good[0], [0.0]])
        with pytest.raises(TypeError, match="arrays: a list"):
            weights.from_arrays(template, np.zeros((2, 3)))


class TestTensors:
    def state(self, torch, device="cpu"):
        values = RNG.normal(size=(3, 4))
        return {
            "w": torch.Tensor(values, torch.float32, device),
            "half": torch.Tensor(values, torch.float16, device),
            "brain": torch.Tensor(values, torch.bfloat16, device),
            "bn.num_batches_tracked": torch.Tensor(np.array(12), torch.int64, device),
            "mask": torch.Tensor(np.array([True]), torch.bool, device),
        }

    @pytest.mark.parametrize("device", ["cpu", "cuda"])
    def test_come_back_on_their_device_in_their_dtype(self, torch, device):
        state = self.state(torch, device)
        arrays = weights.to_arrays(state)
        assert weights.names(state) == ("brain", "half", "w")
        assert [a.dtype.name for a in arrays] == ["float32", "float16", "float32"]
        back = weights.from_arrays(state, [a.astype(np.float64) for a in arrays])
        assert list(back) == list(state)
        for name, value in state.items():
            assert np.array_equal(back[name].values, value.values)
            assert (back[name].dtype, back[name].device.type) == (value.dtype, device)
            assert back[name] is not value

    def test_a_mean_is_rounded_once_to_bfloat16(self, torch):
        template = {"w": torch.Tensor(np.zeros(1), torch.bfloat16)}
        back = weights.from_arrays(template, [np.array([1.0 + 2**-9 + 2**-20])])
        assert back["w"].values[0] in (1.0, 1.0 + 2**-7)

    @pytest.mark.parametrize("fault", ["sparse", "quantised", "meta", "complex", "small"])
    def test_what_has_no_plain_floats_is_named(self, torch, fault):
        tensor = torch.Tensor(np.zeros(2), torch.float32)
        if fault == "sparse":
            tensor.layout = torch.sparse_coo
        elif fault == "quantised":
            tensor.is_quantized = True
        elif fault == "meta":
            tensor.device.type = "meta"
        elif fault == "complex":
            tensor = torch.Tensor(np.zeros(2), torch.complex64)
        else:
            tensor.dtype = torch.float8_e5m2
        with pytest.raises(ParameterError, match=r"^fc: "):
            weights.to_arrays({"fc": tensor})

    def test_beside_numpy_in_one_list(self, torch):
        arrays = weights.to_arrays([np.ones(2), torch.Tensor(np.ones(3), torch.float32)])
        assert [a.shape for a in arrays] == [(2,), (3,)]


def test_torch_is_not_imported():
    script = """if True:
        import sys, numpy as np
        from sottovoce.fl import weights
        state = {"w": np.ones(3, np.float32)}
        weights.from_arrays(state, weights.to_arrays(state))
        assert "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_with_the_real_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    torch.manual_seed(1)
    layers = torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2).to(torch.bfloat16)
    model = torch.nn.Sequential(*layers)
    state = model.state_dict()
    arrays = weights.to_arrays(state)
    assert "1.num_batches_tracked" not in weights.names(state)
    he.ModelLayout.of(arrays)
    back = weights.from_arrays(state, arrays)
    for name, value in state.items():
        assert torch.equal(back[name], value)
        assert back[name].dtype == value.dtype
    model.load_state_dict(back)
