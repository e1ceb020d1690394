/** Which version and which features a connection gets: spec/03-versioning.md. */

/** The version that a server chooses, or the code of the GOAWAY that it sends instead. */
export type Version = { version: number } | { goaway: "INVALID_LOGIN" | "VERSION_UNSUPPORTED" };

/** The highest version of the client's range that lies between `lowest` and `highest`. */
export function chooseVersion(min: number, max: number, [lowest, highest]: readonly [number, number]): Version {
  //= spec/03-versioning.md#major-version
  //# [VER-003] When version_min is 0 or above version_max, the server MUST send GOAWAY INVALID_LOGIN and close.
  if (min === 0 || min > max) return { goaway: "INVALID_LOGIN" };
  //= spec/03-versioning.md#major-version
  //# [VER-001] The server MUST choose the highest version that lies in the client's range and that it speaks, and name
  //# it in LOGIN_OK.
  const version = Math.min(max, highest);
  //= spec/03-versioning.md#major-version
  //# [VER-002] When no version fits, the server MUST send GOAWAY VERSION_UNSUPPORTED and close.
  return version < Math.max(min, lowest) ? { goaway: "VERSION_UNSUPPORTED" } : { version };
}

/** What is enabled, and what of `requires` is not: in its order, each once. */
export function chooseFeatures(offered: readonly number[], ours: readonly number[], requires: readonly number[]) {
  //= spec/03-versioning.md#features
  //# [VER-010] The features in LOGIN_OK MUST be a subset of those that the client offered.
  const enabled = [...new Set(offered)].filter((id) => ours.includes(id));
  //= spec/03-versioning.md#features
  //# [VER-014] To a LOGIN whose requires names a feature that the server does not enable, the server MUST send GOAWAY
  //# LOGIN_FEATURE_REQUIRED listing the missing ids and close.
  const missing = [...new Set(requires)].filter((id) => !enabled.includes(id));
  return { enabled, missing };
}
