import type { RelativePath } from '../core/relative-path.js';
import { CROWDED, type Complaint, type ComplaintKind, type RunReport } from './ports.js';

/** What the end of a run means for what it had taken. `reason` and `hint` (the next step) are for a person. */
export type Verdict =
  /** All of it is there. `warnings`: what rsync complained of without a loss. */
  | { readonly kind: 'synced'; readonly warnings: readonly string[] }
  /** All but what changed while rsync looked. `vanished`: the names, as far as they can be told; look again at once. */
  | { readonly kind: 'moved'; readonly vanished: readonly RelativePath[]; readonly reason: string }
  | {
      readonly kind: 'partial';
      /** What did not arrive, each with its own reason: to be tried again slowly. */
      readonly failed: readonly { readonly path: RelativePath; readonly reason: string }[];
      /** Names that went away meanwhile: look again at once. */
      readonly vanished: readonly RelativePath[];
      /** Something failed that cannot be named: any of the batch may be missing. */
      readonly unnamed: boolean;
      /** The run broke off, so that what came after the failed name was not sent: the rest must go again at once. */
      readonly othersMissed: boolean;
      /** The remote's disk or quota is full: what comes next will fail as well. */
      readonly outOfSpace: boolean;
      readonly reason: string;
      readonly hint?: string;
    }
  /** Something stands in the way there that may not be deleted: no use in trying again by itself. */
  | {
      readonly kind: 'blocked';
      readonly paths: readonly RelativePath[];
      readonly reason: string;
      readonly hint: string;
    }
  /** The remote cannot be had now: all of it again, later. */
  | {
      readonly kind: 'unreachable';
      readonly reason: string;
      readonly hint?: string;
      /** It has as many connections as it takes: fewer of ours may do. */
      readonly isCrowded?: boolean;
    }
  /** The remote does not want us as we are: a person must act. */
  | { readonly kind: 'rejected'; readonly reason: string; readonly hint?: string }
  /** The source is not what it was, so nothing was run. */
  | { readonly kind: 'refused'; readonly reason: string; readonly hint?: string }
  | { readonly kind: 'cancelled' };

export interface JudgeOptions {
  /** Whether names may be deleted on the remote (`<delete>`). */
  readonly deletes: boolean;
}

/** `--max-delete=0` has done its work. A push to a daemon exits 0 then, one to a local disk says so. */
const MAX_DELETE_REACHED = 25;

/**
 * Judges how a run ended: pure. Exit codes: rsync(1), "EXIT VALUES"; what tells apart the cases of one code is the text
 * that came with it (the test says which texts were seen).
 */
export function judge(report: RunReport, { deletes }: JudgeOptions): Verdict {
  if (report.cancelled) return { kind: 'cancelled' };
  if (report.refused !== undefined) return { kind: 'refused', reason: report.refused };
  if (report.spawnError !== undefined) return judgeSpawnError(report.spawnError);
  switch (report.exitCode) {
    case 0:
    case 23:
    case 24:
    case MAX_DELETE_REACHED:
      return judgeWhole(report, deletes);
    case 11:
    case 12:
      return stood(report) ? partial(report, report.complaints.filter(isLost), true) : judgeConnection(report);
    default:
      return judgeConnection(report);
  }
}

/** A run that went to its end: what rsync complained of decides, the exit code only where it said nothing. */
function judgeWhole(report: RunReport, deletes: boolean): Verdict {
  const { complaints, exitCode } = report;
  // With deleting on, what stands in the way is removed by name, and the name then gets through.
  const failed = complaints.filter((complaint) => isLost(complaint) || (deletes && complaint.kind === 'obstructed'));
  if (failed.length > 0) return partial(report, failed, false);

  // Exit 23 that nothing explains: something is missing and cannot be told.
  if (exitCode === 23 && !complaints.some(explainsPartial)) return partial(report, [], false);

  const vanished = complaints.filter(isOfKind('vanished'));
  if (vanished.length > 0 || exitCode === 24) {
    return { kind: 'moved', vanished: pathsOf(vanished), reason: summary(vanished) ?? describeExit(report) };
  }
  const kept = complaints.filter(isOfKind('kept'));
  const obstructed = [...kept, ...complaints.filter(isOfKind('obstructed'))];
  if (obstructed.length > 0) {
    return {
      kind: 'blocked',
      paths: pathsOf(obstructed),
      reason: summary(obstructed) ?? describeExit(report),
      hint:
        kept.length > 0
          ? 'remove it on the remote by hand, or give the file here another name: what is excluded is not deleted'
          : 'remove it on the remote, or switch <delete> on',
    };
  }
  return { kind: 'synced', warnings: complaints.map(({ text }) => text) };
}

function partial(report: RunReport, failed: readonly Complaint[], othersMissed: boolean): Verdict {
  const named = new Map<RelativePath, string>();
  for (const { path, text } of failed) if (path !== undefined && !named.has(path)) named.set(path, text);
  const reason = summary(failed) ?? describeExit(report);
  return {
    kind: 'partial',
    failed: [...named].map(([path, text]) => ({ path, reason: text })),
    vanished: pathsOf(report.complaints.filter(isOfKind('vanished'))),
    unnamed: failed.length === 0 || failed.some(({ path }) => path === undefined),
    othersMissed,
    outOfSpace: failed.some(({ text }) => OUT_OF_SPACE.test(text)),
    reason,
    ...hintFor(LOSS_HINTS, reason),
  };
}

/** Whether rsync had begun to compare and send: before that, exit 11 and 12 are about the way to the remote. */
function stood({ complaints, filesSent, messages }: RunReport): boolean {
  return (
    complaints.some(isLost) ||
    filesSent > 0 ||
    messages.some((message) => /connection unexpectedly closed \([1-9][\d,]* bytes/.test(message))
  );
}

const REJECTED_CODES: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, 6, 126, 127]);

function judgeConnection(report: RunReport): Verdict {
  const { exitCode, messages } = report;
  const known = CONNECTION_TEXTS.find(({ pattern }) => messages.some((message) => pattern.test(message)));
  if (known !== undefined) {
    return {
      kind: known.kind,
      reason: messages.find((message) => known.pattern.test(message)) ?? '',
      hint: known.hint,
      ...(known.isCrowded === true ? { isCrowded: true } : {}),
    };
  }
  const reason = tellingMessage(messages) ?? describeExit(report);
  const kind = exitCode !== null && REJECTED_CODES.has(exitCode) ? 'rejected' : 'unreachable';
  return { kind, reason, ...(exitCode === 127 ? { hint: NO_RSYNC_THERE } : {}) };
}

function judgeSpawnError(spawnError: string): Verdict {
  const isMissing = spawnError.includes('ENOENT');
  return {
    kind: 'unreachable',
    reason: `rsync cannot be started: ${spawnError}`,
    ...(isMissing
      ? { hint: 'install rsync on this host (3.1.0 or newer), or check that the watched directory exists' }
      : {}),
  };
}

interface KnownText {
  readonly pattern: RegExp;
  readonly hint: string;
}

const NO_RSYNC_THERE = 'install rsync on the remote, in the PATH of a non-interactive login';
const OUT_OF_SPACE = /No space left on device|Disk quota exceeded/;

/** What is said before or instead of a transfer. The first that matches counts, so causes come before consequences. */
const CONNECTION_TEXTS: readonly (KnownText & {
  readonly kind: 'unreachable' | 'rejected';
  readonly isCrowded?: boolean;
})[] = [
  {
    pattern: CROWDED,
    kind: 'unreachable',
    isCrowded: true,
    hint: "raise 'max connections' in the remote's rsyncd.conf, or let fewer clients use the module",
  },
  {
    pattern: /@ERROR: auth failed on module/,
    kind: 'rejected',
    hint: "compare <auth users> and the password file with 'auth users' and 'secrets file' on the remote (that file must not be readable by others)",
  },
  {
    pattern: /@ERROR: Unknown module/i,
    kind: 'rejected',
    hint: "the first part of <remote name> must be a [module] of the remote's rsyncd.conf",
  },
  {
    pattern: /@ERROR: access denied/,
    kind: 'rejected',
    hint: "allow this host in 'hosts allow' (and not in 'hosts deny') of the remote's rsyncd.conf",
  },
  {
    pattern: /@ERROR: (?:chdir|chroot) failed/,
    kind: 'rejected',
    hint: "the module's 'path' must exist on the remote and its 'uid' must be allowed to enter it",
  },
  {
    pattern: /ERROR: module is read only/,
    kind: 'rejected',
    hint: "set 'read only = no' for the module on the remote",
  },
  {
    pattern: /server is configured to refuse/,
    kind: 'rejected',
    hint: "take the option out of 'refuse options' on the remote, or out of commonParams",
  },
  {
    pattern: /password file must (?:not be other-accessible|be owned by root)/,
    kind: 'rejected',
    hint: 'chmod 600 the password file, owned by the user that runs this service',
  },
  {
    pattern: /could not open password file/,
    kind: 'rejected',
    hint: 'check <auth passwordfile>: the file must exist and hold the password alone',
  },
  {
    pattern: /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    kind: 'rejected',
    hint: "the host shows another key than known_hosts of the user that runs this service has: find out why; if it is right, 'ssh-keygen -R HOST' ('[HOST]:PORT' with a port of its own), then ssh-keyscan as for a new host",
  },
  {
    pattern: /Host key verification failed/,
    kind: 'rejected',
    hint: "the host key is not known to the user that runs this service: 'ssh-keyscan -p PORT HOST >> ~/.ssh/known_hosts', and compare it with the host's own ('ssh-keygen -lf')",
  },
  {
    pattern: /Permission denied \((?:publickey|password|keyboard-interactive|gssapi|hostbased)/,
    kind: 'rejected',
    hint: `the remote accepts no key of the user that runs this service: make one without a passphrase (ssh-keygen -N ""), and add it to the remote's authorized_keys (ssh-copy-id -p PORT USER@HOST)`,
  },
  {
    // rsync issue 910: 3.4.3 and distributions' builds with its security fixes (seen: Debian's 3.2.7-1+deb12u6).
    pattern: /^invalid file mode 00 for /,
    kind: 'rejected',
    hint: "the remote's rsync cannot delete by name (a bug of 3.4.3 and of security updates made from it): update it to 3.4.4 or newer",
  },
  {
    // A directory went away between the moments at which rsync looked at it and at what is in it.
    pattern: /^ABORTING due to invalid path from sender/,
    kind: 'unreachable',
    hint: 'a directory went away while it was sent, so all is sent again; if this goes on, take --no-implied-dirs out of commonParams',
  },
  {
    pattern: /is your shell clean/,
    kind: 'rejected',
    hint: "the remote's shell start-up files must print nothing for a non-interactive login",
  },
  {
    pattern: /rsync: (?:command )?not found|rsync: No such file or directory/,
    kind: 'rejected',
    hint: NO_RSYNC_THERE,
  },
  { pattern: /Failed to exec /, kind: 'rejected', hint: 'install ssh on this host, or correct -e in commonParams' },
  {
    pattern: /rather than greeting/,
    kind: 'rejected',
    hint: 'something else than an rsync daemon answers there: check the address and <userDefinedPort>',
  },
  {
    pattern: /did not see server greeting/,
    kind: 'unreachable',
    hint: "the remote closed the connection at once: is it the rsync daemon's port, and does its log say why?",
  },
  { pattern: OUT_OF_SPACE, kind: 'unreachable', hint: "free space on the remote's disk" },
  {
    pattern: /\[Receiver\]|mkdir "|change_dir#|cannot (?:stat|overwrite) destination/,
    kind: 'rejected',
    hint: "the directory behind <remote name> must exist on the remote and the module's 'uid' must be allowed to write there",
  },
  {
    pattern: /unknown option|unrecognized option/,
    kind: 'rejected',
    hint: 'check commonParams: the rsync here and the one on the remote must know every option',
  },
  {
    pattern: /Connection refused/,
    kind: 'unreachable',
    hint: 'nothing listens there: start the rsync daemon (or sshd) on the remote, check the port and the firewall',
  },
  {
    pattern:
      /Name or service not known|name resolution|No address associated|Could not resolve hostname|nodename nor servname/,
    kind: 'unreachable',
    hint: 'check <remote ip> and the name service of this host',
  },
  {
    pattern:
      /No route to host|Network is unreachable|Connection timed out|timeout waiting for daemon connection|Operation timed out/,
    kind: 'unreachable',
    hint: 'check the network and the firewall between this host and the remote',
  },
  {
    pattern: /io timeout after|handshake timeout/,
    kind: 'unreachable',
    hint: 'the remote said nothing for as long as <timeout> allows: is it stopped, overloaded or cut off?',
  },
  { pattern: /@ERROR/, kind: 'rejected', hint: "see the remote's rsyncd log" },
];

/** For what did not arrive although the remote can be had. */
const LOSS_HINTS: readonly KnownText[] = [
  { pattern: OUT_OF_SPACE, hint: "free space on the remote's disk, or raise the quota" },
  { pattern: /Read-only file system/, hint: "the remote's file system is mounted read-only" },
  { pattern: /File name too long|max-path|overly long|too long/, hint: 'shorten the name: the remote cannot hold it' },
  {
    pattern: /\[sender\].*(?:Permission denied|Operation not permitted)|cannot be read: (?:EACCES|EPERM)/s,
    hint: 'the user that runs this service must be allowed to read it',
  },
  {
    pattern: /Permission denied|Operation not permitted/,
    hint: "the user that writes on the remote ('uid' of the module) must be allowed to change it",
  },
  { pattern: /Input\/output error|cannot be read: EIO/, hint: 'a disk reports errors: see the kernel log' },
];

function hintFor(texts: readonly KnownText[], reason: string): { hint?: string } {
  const known = texts.find(({ pattern }) => pattern.test(reason));
  return known === undefined ? {} : { hint: known.hint };
}

function isOfKind(kind: ComplaintKind): (complaint: Complaint) => boolean {
  return (complaint) => complaint.kind === kind;
}

/** Whether rsync exits with 23 for it: a file that vanishes after it was listed makes that 24 (3.5.0). */
function explainsPartial({ kind, text }: Complaint): boolean {
  return kind !== 'vanished' || !/^(?:file|directory) has vanished/.test(text);
}

function isLost(complaint: Complaint): boolean {
  return complaint.kind === 'lost';
}

function pathsOf(complaints: readonly Complaint[]): RelativePath[] {
  return [...new Set(complaints.flatMap(({ path }) => path ?? []))];
}

/** The first text and how many more there are. */
function summary(complaints: readonly Complaint[]): string | undefined {
  const [first] = complaints;
  if (first === undefined) return undefined;
  return complaints.length === 1 ? first.text : `${first.text} (and ${complaints.length - 1} more)`;
}

/** rsync's last line only repeats the exit code in words: any line before it says more. */
function tellingMessage(messages: readonly string[]): string | undefined {
  return messages.find((message) => !/^rsync (?:error|warning):/.test(message)) ?? messages[0];
}

function describeExit({ exitCode, signal, messages }: RunReport): string {
  const said = tellingMessage(messages);
  const end =
    exitCode === null ? `rsync was ended by ${signal ?? 'a signal'}` : `rsync ended with exit code ${exitCode}`;
  return said === undefined ? end : `${end}: ${said}`;
}
