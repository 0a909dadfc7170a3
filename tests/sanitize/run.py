"""The compiled modules under AddressSanitizer and UndefinedBehaviorSanitizer, and the kernel tests upon them.

    python tests/sanitize/run.py [--modules gf256,ntt] [--folder build/sanitize] [-- PYTEST ARGUMENTS]

Builds every ``_ext/_*.pyx`` with its C files (all back ends; the processor decides which of them run) into a
throw-away copy of the package, and starts ``tests/ext`` on that copy in an interpreter with the runtime of
the sanitizers preloaded.  The first report ends the process: nothing is recovered from.  ``--broken`` builds
a module of the harness's own that reads one byte too many, to show that it would be seen.

Needs gcc and Cython.  The C core alone, without Python around it, is done by ``tests/ext/*_sanitize.c``.
"""

import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "-O1", "-g1", "-std=c99", "-fPIC", "-fno-omit-frame-pointer", "-ffp-contract=off", "-fvisibility=hidden",
    "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wno-unused-function",
]  # fmt: skip
TESTS = {
    "gf256": ["test_gf256.py"],
    "rsword": ["test_rsword.py"],
    "ntt": ["test_ntt.py", "test_ntt_kat.py", "test_ntt_overlap.py"],
    "sampler": ["test_sampler.py"],
    "codec": ["test_codec_kernel.py"],
    "kahe": ["test_kahe_kernel.py"],
    "rlwe": ["test_rlwe_kernel.py"],
    "cpu": ["test_kernel.py"],
    "memory": ["test_room.py"],
}
"""What is run for each module; ``test_every_module_has_kernel_tests`` holds it to the sources."""

BROKEN = """
def last(const unsigned char[::1] data):
    return (&data[0])[data.shape[0]]
"""


def call(*command, **more):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def lay_out(tree: Path) -> Path:
    """The package as it is installed, without compiled modules; its ``_ext``."""
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    for name, source in folders.items():
        target = tree / name.replace(".", "/")
        target.mkdir(parents=True, exist_ok=True)
        for path in (ROOT / source).iterdir():
            if path.suffix in {".py", ".json", ".txt", ".html", ".css", ".js", ".svg"}:
                shutil.copy(path, target)
    return tree / "sottovoce" / "_ext"


def compile_module(pyx: Path, sources: list[Path], target: Path, scratch: Path, jobs: int) -> None:
    """One extension, all of it with the sanitizers."""
    scratch.mkdir(parents=True, exist_ok=True)
    generated = scratch / f"{pyx.stem}.c"
    directives = ["boundscheck=False", "wraparound=False"]
    options = [option for directive in directives for option in ("-X", directive)]
    call(sys.executable, "-m", "cython", "-3", *options, "-o", generated, pyx, cwd=ROOT)
    includes = [f"-I{sysconfig.get_path('include')}", f"-I{ROOT / '_ext' / 'c'}"]

    def one(source: Path) -> Path:
        made = scratch / f"{source.stem}.o"
        call("gcc", *FLAGS, *includes, "-c", source, "-o", made)
        return made

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        objects = list(pool.map(one, [generated, *sources]))
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    call(
        "gcc",
        "-shared",
        "-fsanitize=address,undefined",
        *objects,
        "-o",
        target / f"{pyx.stem}{suffix}",
        "-lm",
    )


def build(folder: Path, modules: list[str], jobs: int) -> Path:
    """The package with sanitized modules; those that were not asked for come from the installed package."""
    tree = folder / "tree"
    target = lay_out(tree)
    installed = call(sys.executable, "-I", "-c", "import sottovoce; print(sottovoce.__path__[0])").strip()
    for ready in (Path(installed) / "_ext").glob("*.so"):
        shutil.copy(ready, target)
    for name in modules:
        for old in target.glob(f"_{name}.*.so"):
            old.unlink()
        sources = sorted((ROOT / "_ext" / "c").glob(f"{name}*.c"))
        print(f"building _{name} from {1 + len(sources)} files", flush=True)
        compile_module(ROOT / "_ext" / f"_{name}.pyx", sources, target, folder / "objects" / name, jobs)
    return tree


def environment(tree: Path) -> dict[str, str]:
    runtime = call("gcc", "-print-file-name=libasan.so").strip()
    return {
        **os.environ,
        "LD_PRELOAD": runtime,
        # The interpreter never frees all that it has; what the core allocates is nothing.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:halt_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONMALLOC": "malloc",  # else small objects lie in one large block, where nothing is seen
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def run_tests(tree: Path, modules: list[str], more: list[str]) -> int:
    where = "import sottovoce._ext.kernel as k, sys; sys.stdout.write(k.__file__)"
    said = subprocess.run(
        [sys.executable, "-c", where], env=environment(tree), capture_output=True, text=True, check=False
    )
    if said.returncode or not said.stdout.startswith(str(tree)):
        sys.exit(f"another copy of the package was imported: {said.stdout}{said.stderr}")
    files = [ROOT / "tests" / "ext" / name for module in modules for name in TESTS[module]]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        *more,
        *files,
    ]
    return subprocess.run(list(map(str, command)), env=environment(tree), cwd=ROOT, check=False).returncode


def run_broken(folder: Path) -> int:
    """A module that reads behind its buffer, started as the others are: its exit status."""
    source = folder / "_broken.pyx"
    folder.mkdir(parents=True, exist_ok=True)
    source.write_text(BROKEN)
    target = folder / "tree"
    target.mkdir(exist_ok=True)
    compile_module(source, [], target, folder / "objects" / "broken", 1)
    code = "import _broken, numpy; _broken.last(numpy.zeros(5000, numpy.uint8)); print('not seen')"
    return subprocess.run([sys.executable, "-c", code], env=environment(target), check=False).returncode


def main() -> int:
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--modules", default=",".join(TESTS), help="which, separated by commas")
    reader.add_argument("--folder", type=Path, default=ROOT / "build" / "sanitize")
    reader.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    reader.add_argument("--broken", action="store_true")
    reader.add_argument("more", nargs="*", help="for pytest, after --")
    said = reader.parse_args()
    folder = said.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    if said.broken:
        return run_broken(folder)
    modules = said.modules.split(",")
    return run_tests(build(folder, modules, said.jobs), modules, said.more)


if __name__ == "__main__":
    sys.exit(main())
