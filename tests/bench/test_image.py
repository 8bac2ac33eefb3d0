"""An image of the benchmark, built without a registry of images, and run as hep-score runs one.

The base is Debian by debootstrap (launch/debian-base.sh); the image of launch/hepscore/Dockerfile
on top of it has hepjax installed by pip. Packages of Debian and Python come from where this machine
gets them. It needs root, buildah and debootstrap, and takes minutes and some gigabytes.
"""

import json
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("buildah", "debootstrap", "unshare")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
STORAGE = """[storage]
driver = "vfs"
graphroot = "{0}/images"
runroot = "{0}/run"
"""
EVENTS, NOBODY = 16, 65534


def did(environment: dict[str, str], *words: object) -> str:
    command = list(map(str, words))
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An environment in which buildah keeps images in a folder that goes afterwards."""
    folder = tmp_path_factory.mktemp("containers")
    (folder / "storage.conf").write_text(STORAGE.format(folder))
    yield os.environ | {
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"), "BUILDAH_ISOLATION": "chroot",
        "TMPDIR": str(folder),
    }  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def image(store, tmp_path_factory) -> str:
    did(store, "launch/debian-base.sh", "hepjax-base")
    volumes = []
    if certificates := os.environ.get("PIP_CERT"):  # of a proxy in front of the package index
        settings = tmp_path_factory.mktemp("pip") / "pip.conf"
        settings.write_text(f"[global]\ncert = {certificates}\n")
        volumes = [f"{settings}:/etc/pip.conf:ro", f"{certificates}:{certificates}:ro"]
    arguments = {"BASE": "localhost/hepjax-base", "WORKLOAD": "tagger", "EVENTS": EVENTS}
    did(
        store, "buildah", "build", *(word for v in volumes for word in ("--volume", v)),
        *(word for k, v in arguments.items() for word in ("--build-arg", f"{k}={v}")),
        "-f", "launch/hepscore/Dockerfile", "-t", "hepjax-tagger-bmk", ".",
    )  # fmt: skip
    return "localhost/hepjax-tagger-bmk"


def test_the_contract_of_hep_score(store, image, tmp_path):
    """A clean environment, no home, no network, ``/results`` and arguments only."""
    known = json.loads(did(store, "buildah", "inspect", "--type=image", image))
    (driver,) = known["OCIv1"]["config"]["Entrypoint"]
    results = tmp_path / "results"
    results.mkdir()
    results.chmod(0o777)
    container = did(store, "buildah", "from", image)
    try:
        path = did(store, "buildah", "run", container, "printenv", "PATH")
        words = ["-W", "--epochs", 2, "--batch-size", 4, "--threads", 1]
        did(
            store, "unshare", "--net", "buildah", "run", f"--user={NOBODY}",
            f"--volume={results}:/results", container, "--",
            "env", "-i", f"PATH={path}", driver, *words,
        )  # fmt: skip
    finally:
        did(store, "buildah", "rm", container)
    summary = json.loads((results / "tagger_summary.json").read_text())
    schema = json.loads((files("hepjax.bench") / "hepscore_schema.json").read_text())
    pytest.importorskip("jsonschema").validate(summary, schema)
    assert summary["report"]["wl-scores"]["mean_throughput"] > 0
    assert summary["run_info"]["events_per_thread"] == EVENTS
    assert (results / "tagger_summary.json").stat().st_uid == NOBODY
    assert sorted(p.name for p in results.iterdir()) == ["proc_1", "tagger_summary.json"]
