/** What an operating system refuses, in words, and what to do about it. */
export interface Refusal {
  readonly reason: string;
  readonly hint: string;
}

/** The words for an error's code; undefined for a code that says nothing of the machine or its disk. */
export function describeRefusal(code: string | undefined): Refusal | undefined {
  return REFUSALS[code ?? ""];
}

/** Why a file cannot be read. */
export function describeUnreadable(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES") return "permission denied";
  if (code === "EISDIR") return "it is a folder";
  return message;
}

const ELSEWHERE = "artifacts go to out_dir or --out, logs and the store to cache_dir";
const MAKE_ROOM =
  "free some space, or choose another out_dir or cache_dir; `trtorch-build cache prune --max-size 1GB` makes room";

const REFUSALS: Readonly<Record<string, Refusal>> = {
  EACCES: { reason: "permission denied", hint: ELSEWHERE },
  EPERM: { reason: "operation not permitted", hint: ELSEWHERE },
  EROFS: { reason: "the file system is read-only", hint: ELSEWHERE },
  ENOTDIR: { reason: "a file is where a folder should be", hint: ELSEWHERE },
  EEXIST: { reason: "a file is where a folder should be", hint: ELSEWHERE },
  ENOSPC: { reason: "the disk is full", hint: MAKE_ROOM },
  EDQUOT: { reason: "the disk quota is used up", hint: MAKE_ROOM },
  EMFILE: { reason: "too many open files", hint: "raise the limit with `ulimit -n`" },
};
