"""Which version and which features a connection gets: spec/03-versioning.md."""


class Unfit(Exception):
    """No session comes of this LOGIN; the code is the one of the GOAWAY."""

    def __init__(self, code: str):
        super().__init__(code)
        self.code = code


def version(version_min: int, version_max: int, lowest: int, highest: int) -> int:
    """The highest version of the client's range that lies in ours. Raises Unfit."""
    #= spec/03-versioning.md#major-version
    ## [VER-003] When version_min is 0 or above version_max, the server MUST send GOAWAY INVALID_LOGIN and close.
    if version_min == 0 or version_min > version_max:
        raise Unfit("INVALID_LOGIN")
    #= spec/03-versioning.md#major-version
    ## [VER-001] The server MUST choose the highest version that lies in the client's range and that it speaks, and name
    ## it in LOGIN_OK.
    chosen = min(version_max, highest)
    #= spec/03-versioning.md#major-version
    ## [VER-002] When no version fits, the server MUST send GOAWAY VERSION_UNSUPPORTED and close.
    if chosen < max(version_min, lowest):
        raise Unfit("VERSION_UNSUPPORTED")
    return chosen


def features(offered: list[int], ours: list[int], requires: list[int]) -> tuple[set[int], list[int]]:
    """What is enabled, and what of `requires` is not: in its order, each once."""
    enabled = set(offered) & set(ours)
    missing = [feature for feature in dict.fromkeys(requires) if feature not in enabled]
    return enabled, missing
