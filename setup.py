"""Build of the compiled kernels; everything else is in pyproject.toml.

A small setup.py, because ``ext-modules`` in pyproject.toml is still marked experimental.
"""

import os
import sys
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

HEADERS = sorted(glob("_ext/c/*.h"))
# -ffp-contract=off: the floating-point NTT kernels place each fma by hand and must give the same
# bits on every compiler.
CFLAGS = [] if sys.platform == "win32" else ["-O3", "-std=c99", "-ffp-contract=off", "-fvisibility=hidden"]
if CFLAGS:
    # The folder of the build would stand in the debugging information, and no wheel would be like another.
    CFLAGS.append(f"-ffile-prefix-map={os.getcwd()}=.")
if os.environ.get("SOTTOVOCE_WERROR"):
    CFLAGS += ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-cast-function-type"]


def kernel(name: str) -> Extension:
    """The extension ``_ext/_<name>.pyx`` with every C file ``_ext/c/<name>*.c``."""
    return Extension(
        f"sottovoce._ext._{name}",
        sources=[f"_ext/_{name}.pyx", *sorted(glob(f"_ext/c/{name}*.c"))],
        depends=HEADERS,
        include_dirs=["_ext/c"],
        extra_compile_args=CFLAGS,
    )


setup(
    ext_modules=cythonize(
        [kernel(os.path.basename(path)[1:-4]) for path in sorted(glob("_ext/_*.pyx"))],
        build_dir="build/cython",
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "embedsignature": True,
            "freethreading_compatible": False,
        },
    ),
    options={"build_ext": {"parallel": os.cpu_count()}},
)
