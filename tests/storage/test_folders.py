"""What is for one user alone: how it is told from what is not, and how it comes to be."""

import errno
import grp
import os
import pwd
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.processes import UNPRIVILEGED, mode, names_in

from clawver_orders.errors import SetupError
from clawver_orders.storage import folders
from clawver_orders.storage.folders import (
    check_above,
    is_open_to_others,
    is_safe,
    kept_once,
    made_whole,
    make_private,
    remedy,
    try_writing,
)

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "words"
    file.touch(mode=0o600)
    return file


def is_safe_file(path: Path) -> bool:
    return is_safe(path.lstat(), stat.S_ISREG)


def test_two_that_make_a_folder_at_once_do_not_fail_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "above" / "folder"
    make_private(folder)
    monkeypatch.setattr(Path, "exists", lambda each: each != folder)

    make_private(folder)

    assert (mode(folder), mode(folder.parent)) == (0o700, 0o700)


@pytest.mark.parametrize(
    ("permissions", "safe", "open_to_others"),
    [(0o600, True, False), (0o644, True, True), (0o601, True, True), (0o620, False, True), (0o602, False, True)],
)  # fmt: skip
def test_what_others_may_do_decides(
    path: Path, permissions: int, safe: bool, open_to_others: bool
) -> None:
    path.chmod(permissions)

    assert is_safe_file(path) is safe
    assert is_open_to_others(path.lstat()) is open_to_others


def linked(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("elsewhere")))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


@pytest.mark.parametrize("replace", [linked, a_folder])
def test_a_link_and_another_kind_are_not_safe(path: Path, replace: Callable[[Path], None]) -> None:
    replace(path)

    assert not is_safe_file(path)


def test_what_belongs_to_somebody_else_is_not_safe(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_OWNER", lambda: os.geteuid() + 1)

    assert not is_safe_file(path)


def test_where_there_are_no_owners_only_the_kind_counts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_OWNER", None)
    path.chmod(0o666)

    assert is_safe_file(path)
    assert not is_open_to_others(path.lstat())
    assert not is_safe(path.parent.lstat(), stat.S_ISREG)


def test_a_file_has_its_name_only_once_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "words"
    with made_whole(target) as draft:
        assert mode(draft) == 0o600
        draft.write_text("whole")
        assert not target.exists()

    assert target.read_text() == "whole"
    assert names_in(tmp_path) == {"words"}


def test_the_file_of_whoever_was_faster_stays(path: Path) -> None:
    path.write_text("theirs")
    with made_whole(path) as draft:
        draft.write_text("ours")

    assert path.read_text() == "theirs"
    assert names_in(path.parent) == {"words"}


def test_a_folder_that_is_written_on_trial_is_made_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "state"

    try_writing(folder)

    assert (mode(folder), names_in(folder)) == (0o700, set())


@pytest.fixture
def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on exFAT, and on many mounts of other machines."""

    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", link)


def test_without_hard_links_a_file_gets_its_name_all_the_same(
    tmp_path: Path, without_links: None
) -> None:
    target = tmp_path / "words"
    with made_whole(target) as draft:
        draft.write_text("whole")
        assert not target.exists()

    assert target.read_text() == "whole"
    assert names_in(tmp_path) == {"words", "words.making"}


def test_without_hard_links_the_file_of_whoever_was_faster_stays(
    path: Path, without_links: None
) -> None:
    path.write_text("theirs")
    with made_whole(path) as draft:
        draft.write_text("ours")

    assert path.read_text() == "theirs"


def test_other_trouble_with_the_link_is_told_and_nothing_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have put its file there: moving ours over it would lose it."""

    def link(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", link)

    with pytest.raises(OSError, match="Input/output"), made_whole(tmp_path / "words"):
        pass

    assert names_in(tmp_path) == set()


def test_the_remedy_is_for_what_is_wrong(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = path.lstat()
    assert remedy(path, found, 0o600).startswith(f"chmod 600 '{path}'. If that changes nothing")
    monkeypatch.setattr(folders, "_OWNER", lambda: found.st_uid + 1)

    mine = f"sudo chown -R {found.st_uid + 1}"
    assert remedy(path, found, 0o600).startswith(f"{mine} '{path}'. Or start the server as")
    of_a_store = Path("/state/stores/api.example/live-1/ledger.sqlite3")
    assert remedy(of_a_store, found, 0o600).startswith(f"{mine} '/state'. Or")
    theirs = os.stat_result((0o100600, 0, 0, 1, 7, 7, 0, 0, 0, 0))
    monkeypatch.setattr(folders, "_OWNER", lambda: 0)
    assert remedy(path, theirs, 0o600).startswith(f"chown -R 0 '{path}'. Or start")
    monkeypatch.setattr(folders, "_OWNER", None)
    assert remedy(path, theirs, 0o700).startswith(f"chmod 700 '{path}'. If")


def test_what_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), made_whole(tmp_path / "words"):
        raise OSError("full")

    assert names_in(tmp_path) == set()


# Who could replace it


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A path below a folder of this user, which is in a folder of this user."""
    make_private(tmp_path / "above" / "folder")
    return tmp_path / "above" / "folder" / "kept"


def refusal(path: Path) -> SetupError:
    with pytest.raises(SetupError, match="could replace the words") as refused:
        check_above(path, "the words")
    return refused.value


def test_what_only_this_user_and_root_can_replace_is_fine(kept: Path) -> None:
    check_above(kept, "the words")  # all the way up, through a folder for everybody's files


@pytest.mark.parametrize("which", ["above", "above/folder"])
@pytest.mark.parametrize("others", [0o002, 0o022])
def test_a_folder_that_others_may_write_is_refused(kept: Path, which: str, others: int) -> None:
    folder = kept.parents[1].parent / which
    folder.chmod(0o755 | others)

    refused = refusal(kept)

    assert refused.happened == f"Other users may write {folder}, and could replace the words."
    assert f"A person must run: chmod go-w '{folder}'. " in refused.next_step
    assert mode(folder) == 0o755 | others
    folder.chmod(0o1777)  # as /tmp is
    check_above(kept, "the words")


@only_root
@pytest.mark.parametrize("which", ["above", "above/folder"])
def test_a_folder_of_another_user_is_refused_to_root_too(kept: Path, which: str) -> None:
    folder = kept.parents[1].parent / which
    os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)

    refused = refusal(kept)

    assert refused.happened == f"Another user owns {folder}, and could replace the words."
    assert "set CLAWVER_STATE_DIR to a folder of this user" in refused.next_step


def test_a_folder_of_another_user_is_refused(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_roots", frozenset)
    monkeypatch.setattr(folders, "_OWNER", lambda: os.geteuid() + 1)

    assert refusal(kept).happened.startswith("Another user owns ")


def test_a_folder_of_root_that_others_may_write_needs_root(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_roots", lambda: {0, os.geteuid()})
    monkeypatch.setattr(folders, "_OWNER", lambda: os.geteuid() + 1)
    kept.parent.chmod(0o757)

    assert f"A person must run: sudo chmod go-w '{kept.parent}'. " in refusal(kept).next_step


@only_root
def test_a_user_may_use_what_root_owns_and_root_not_what_a_user_owns(common_folder: Path) -> None:
    check_above(common_folder / "kept", "the words")  # as the user without privileges
    os.seteuid(0)
    refused = refusal(common_folder / "kept")
    os.seteuid(UNPRIVILEGED)

    assert refused.happened.startswith(f"Another user owns {common_folder}, ")


@pytest.mark.parametrize("is_relative", [False, True])
def test_a_link_is_as_good_as_the_folders_it_is_in_and_leads_through(
    kept: Path, tmp_path: Path, is_relative: bool
) -> None:
    make_private(tmp_path / "links")
    link = tmp_path / "links" / "link"
    link.symlink_to(Path("../above/folder") if is_relative else kept.parent)
    path = link / "deeper" / "kept"
    make_private(path.parent)

    check_above(path, "the words")
    for folder, leads in (
        (link.parent, "links"),
        (kept.parents[1], "above"),
        (kept.parent, "folder"),
    ):
        folder.chmod(0o777)
        assert refusal(path).happened.partition(", ")[0].endswith(f"/{leads}")
        folder.chmod(0o700)
    check_above(path, "the words")


@only_root
def test_a_link_of_another_user_is_refused(kept: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"  # such as one in /tmp, where everybody can make one
    link.symlink_to(kept.parent)
    os.chown(link, UNPRIVILEGED, UNPRIVILEGED, follow_symlinks=False)

    assert refusal(link / "kept").happened.startswith(f"Another user owns {link}, ")


ME, OTHER = os.geteuid(), os.geteuid() + 1


@pytest.mark.parametrize(
    ("named", "primary", "is_fine"),
    [
        ([], [ME], True), (["me"], [], True), (["me"], [ME], True), (["root", "me"], [], True),
        ([], [], False), ([], [ME, OTHER], False), (["other"], [], False), (["me", "other"], [ME], False),
        (["elsewhere"], [ME], False), (None, [], False),
    ],
)  # fmt: skip
def test_a_group_may_write_where_nobody_else_is_in_it(
    kept: Path,
    monkeypatch: pytest.MonkeyPatch,
    named: list[str] | None,
    primary: list[int],
    is_fine: bool,
) -> None:
    names = {"root": 0, "me": ME, "other": OTHER}
    group, another = kept.parent.stat().st_gid, kept.parent.stat().st_gid + 1
    users = [
        pwd.struct_passwd(
            (name, "x", uid, group if uid in primary and name != "root" else another, "", "/", "")
        )
        for name, uid in names.items()
    ]

    def group_of(number: int) -> grp.struct_group:
        if named is None:
            raise KeyError(number)
        return grp.struct_group(("group", "x", number, named))

    monkeypatch.setattr(pwd, "getpwall", lambda: users)
    monkeypatch.setattr(grp, "getgrgid", group_of)
    folders._is_alone_in.cache_clear()
    kept.parent.chmod(0o775)

    if is_fine:
        check_above(kept, "the words")
    else:
        assert refusal(kept).happened.startswith(f"Other users may write {kept.parent}, ")
    folders._is_alone_in.cache_clear()


@only_root
def test_the_group_of_root_is_roots_and_that_of_programs_is_not(kept: Path) -> None:
    kept.parent.chmod(0o775)
    check_above(kept, "the words")
    os.chown(kept.parent, 0, UNPRIVILEGED)

    refusal(kept)


LIST = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 7, -1 % 2**32), (2, 7, OTHER), (4, 5, -1 % 2**32), (16, 7, -1 % 2**32), (32, 5, -1 % 2**32))
)  # fmt: skip
"""What `setfacl -m u:OTHER:rwx` makes of a folder with the mode 755."""


@pytest.mark.skipif(sys.platform != "linux", reason="access control lists of Linux")
def test_another_user_in_an_access_control_list_is_no_private_group(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_is_alone_in", lambda *_: True)
    kept.parent.chmod(0o775)
    check_above(kept, "the words")
    try:
        os.setxattr(kept.parent, "system.posix_acl_access", LIST)
    except OSError:
        pytest.skip("this file system has no such lists")

    assert refusal(kept).happened.startswith(f"Other users may write {kept.parent}, ")


def test_a_file_system_without_lists_names_nobody(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(_: Path) -> list[str]:
        raise OSError

    monkeypatch.setattr(folders, "_is_alone_in", lambda *_: True)
    monkeypatch.setattr(os, "listxattr", without, raising=False)
    kept.parent.chmod(0o775)

    check_above(kept, "the words")


def test_where_there_are_no_owners_folders_above_are_trusted(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_OWNER", None)
    kept.parent.chmod(0o777)

    check_above(kept, "the words")


WITHOUT_ROOT = """
import ctypes, os, sys
from pathlib import Path
from clawver_orders.storage.folders import check_above
path, user, system = Path(sys.argv[1]), int(sys.argv[2]), ctypes.CDLL(None)
os.setresuid(user, user, user)
system.prctl(4, 1, 0, 0, 0)  # its files in /proc are its own again
if system.unshare(0x10000000) != 0:
    sys.exit("no user namespace")
Path("/proc/self/uid_map").write_text(f"1000 {user} 1")
check_above(path, "the words")
print(os.geteuid(), os.stat("/").st_uid)
"""
"""Works as Flatpak does: in a user namespace that knows this user and nobody else."""


@pytest.mark.skipif(sys.platform != "linux", reason="user namespaces of Linux")
def test_where_root_is_not_known_its_folders_are_still_trusted(common_folder: Path) -> None:
    user = common_folder.stat().st_uid
    is_root = os.getuid() == 0
    if is_root:
        os.seteuid(0)
    command = (sys.executable, "-c", WITHOUT_ROOT, str(common_folder / "kept"), str(user))
    # Coverage could not write its file as that user.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        command, env=plain, capture_output=True, text=True, check=False, timeout=60
    )
    if is_root:
        os.seteuid(UNPRIVILEGED)
    if "no user namespace" in done.stderr:
        pytest.skip("this machine lets nobody make a user namespace")

    assert done.stderr == ""
    assert done.stdout.split() == ["1000", "65534"]


ALL, ONE = "         0          0 4294967295\n", "      1000       1000          1\n"


@pytest.mark.parametrize(
    ("maps", "roots"),
    [(ALL, {0}), (ONE, {0, 65534}), (f"{ONE}         1     100000      65536\n", {0, 65534}), (None, {0})],
)  # fmt: skip
def test_nobody_stands_for_root_where_root_is_not_known(
    monkeypatch: pytest.MonkeyPatch, maps: str | None, roots: set[int]
) -> None:
    def told(path: Path, _: str) -> str:
        if maps is None:  # a system other than Linux
            raise FileNotFoundError
        return {"uid_map": maps, "overflowuid": "65534\n"}[path.name]

    folders._roots.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", told)
        found = folders._roots()
    folders._roots.cache_clear()

    assert found == roots


def test_nothing_small_is_kept_behind_a_detour(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir(mode=0o700)
    link.symlink_to(real, target_is_directory=True)

    with pytest.raises(PermissionError):
        kept_once(link / "key", b"example")

    assert list(real.iterdir()) == []
