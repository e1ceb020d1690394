#!/usr/bin/env python3
"""Applies each patch of this folder to a copy of the tree, and demands that the suite catches the bug by its sentence.

    check.py [--runner PROGRAM] [NAME...]
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[2]
# A machine with too much to do may leave all cases open that could have told.
INCONCLUSIVE, ATTEMPTS = 5, 2


class Missed(Exception):
    """The bug was not caught, or not as it should be."""


def head(patch: Path) -> dict[str, list[str]]:
    """The lines of the patch that are for this script, by name."""
    found: dict[str, list[str]] = {}
    for line in patch.read_text(encoding="utf-8").splitlines():
        if line.startswith("diff "):
            break
        if match := re.fullmatch(r"# (\w+): (.+)", line):
            found.setdefault(match[1], []).append(match[2])
    missing = {"what", "breaks", "testee"} - set(found)
    if missing:
        raise Missed(f"the patch does not say {', '.join(sorted(missing))}")
    return found


def copy_tree(to: Path) -> None:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, check=True, capture_output=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (REPO / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, to / name)


def run(command: list[str] | str, cwd: Path, **options) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, shell=isinstance(command, str), **options)


def check(patch: Path, tree: Path, target: Path, runner: Path) -> str:
    """The case that caught it, with the sentence."""
    said = head(patch)
    applied = run(["git", "apply", "--whitespace=nowarn", str(patch)], tree)
    if applied.returncode:
        raise Missed(f"the patch does not apply any more:\n{applied.stderr}")
    try:
        return caught(said, tree, target, runner)
    finally:
        subprocess.run(["git", "apply", "-R", "--whitespace=nowarn", str(patch)], cwd=tree, check=True)


def caught(said: dict, tree: Path, target: Path, runner: Path) -> str:
    for command in said.get("build", []):
        built = run(command, tree, env={**os.environ, "CARGO_TARGET_DIR": str(target), "REPO": str(REPO)})
        if built.returncode:
            raise Missed(f"it does not build: {command}\n{built.stderr[-2000:]}")
    testee = tree / said["testee"][0]
    text = testee.read_text(encoding="utf-8")
    spoilt = testee.with_name("seeded-bug.toml")
    spoilt.write_text(text.replace("{bin}", str(target / "debug")), encoding="utf-8")
    report = tree / "seeded-bug.json"
    report.unlink(missing_ok=True)
    filters = [word for text in said.get("filter", []) for word in ("--filter", text)]
    # Cases and sentences are those of the tree that was copied: a patch spoils a testee, and no case.
    folders = ["--fixtures", str(REPO / "fixtures"), "--spec", str(REPO / "spec")]
    for _ in range(ATTEMPTS):
        played = run([str(runner), *folders, "run", "--testee", str(spoilt), "--json", str(report), *filters], tree)
        if played.returncode != INCONCLUSIVE:
            break
    if played.returncode != 1 or not report.exists():
        raise Missed(f"the run ends with {played.returncode}, and a failure is 1\n{played.stdout[-2000:]}{played.stderr[-2000:]}")
    found = json.loads(report.read_text(encoding="utf-8"))
    wanted = said["breaks"][0]
    failed = [case for case in found["cases"] if case["verdict"] == "fail"]
    naming = [case for case in failed if wanted in case["failure"]["proves"]]
    if not naming:
        named = sorted({name for case in failed for name in case["failure"]["proves"]})
        raise Missed(f"{len(failed)} cases fail and none names {wanted}, but {', '.join(named) or 'nothing'}")
    case, failure = naming[0], naming[0]["failure"]
    sentence = next(line.strip() for line in played.stdout.splitlines() if f"[{wanted}]" in line)
    return f"{len(failed)} of {len(found['cases'])} cases fail, as {case['id']}\n  {sentence}\n  expected {failure['expected']}, got {failure['got']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR") or REPO / "target")
    parser.add_argument("--runner", type=Path, default=target / "release" / "tidewire-conformance", help="the program of the suite")
    parser.add_argument("names", nargs="*", help="only patches whose name begins so")
    arguments = parser.parse_args()
    patches = [path for path in sorted(HERE.glob("*.patch")) if not arguments.names or path.stem.startswith(tuple(arguments.names))]
    missed = 0
    with tempfile.TemporaryDirectory(prefix="tidewire-seeded-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        for patch in patches:
            try:
                found = check(patch, tree, target / "seeded-bugs", arguments.runner.resolve())
                print(f"caught {patch.stem}: {head(patch)['what'][0]}\n  {found}", flush=True)
            except Missed as error:
                missed += 1
                print(f"MISSED {patch.stem}: {error}", flush=True)
    print(f"{len(patches) - missed} of {len(patches)} seeded bugs caught")
    return 1 if missed or not patches else 0


if __name__ == "__main__":
    sys.exit(main())
