"""Build ``creedsolo``, the Cython form of reedsolo, where ``sottovoce bench rs --peers`` finds it.

Wheels of reedsolo do not contain it: it is made from the source distribution with
``setup.py --cythonize build_ext --inplace``.  This does so in a temporary environment that has Cython, and
puts the one compiled module beside the packages of the Python that runs it.

Run: python benches/build_creedsolo.py  (half a minute; needs a C compiler and the package index)
"""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
from pathlib import Path

RELEASE = "reedsolo==1.7.0"
SHA256 = "c1359f02742751afe0f1c0de9f0772cc113835aa2855d2db420ea24393c87732"

# pip asks for wheel when it reads the name and version of a source distribution that it fetches.
TOOLS = ("cython>=3", "setuptools", "wheel")

# What its readme promises: the word of "hello world" with ten parity symbols.
CHECK = (
    "import creedsolo; word = creedsolo.RSCodec(10).encode(bytearray(b'hello world')); "
    "assert bytes(word) == b'hello world\\xed%T\\xc4\\xfd\\xfd\\x89\\xf3\\xa8\\xaa', word"
)


def run(*command, cwd=None):
    """Run a command quietly; end with what it said if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}".rstrip())


def unpacked(folder, python):
    """The folder of the sources, fetched and compared with the digest."""
    fetch = ["download", "--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
    run(python, "-m", "pip", *fetch, "--dest", folder, RELEASE)
    (archive,) = folder.glob("reedsolo-*.tar.gz")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != SHA256:
        sys.exit(f"{archive.name}: SHA-256 {SHA256} expected, got {digest}")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def main():
    site = Path(sysconfig.get_path("platlib"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        venv.create(folder / "env", with_pip=True)
        python = folder / "env" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        run(python, "-m", "pip", "install", "--quiet", *TOOLS)
        sources = unpacked(folder, python)
        run(python, "setup.py", "--cythonize", "build_ext", "--inplace", cwd=sources)
        (module,) = sources.glob(f"creedsolo*{sysconfig.get_config_var('EXT_SUFFIX')}")
        shutil.copy(module, site)
    run(sys.executable, "-c", CHECK)
    print(f"creedsolo of {RELEASE}: {site / module.name}")


if __name__ == "__main__":
    main()
