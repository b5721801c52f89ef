import { describe, expect, test } from 'vitest';
import { fromText } from '../../../src/core/relative-path.js';
import type { ComplaintKind } from '../../../src/replicate/ports.js';
import {
  ComplaintReader,
  parseComplaints,
  parseItemized,
  type ComplaintContext,
} from '../../../src/transfer/rsync-output.js';

/**
 * Lines that rsync 3.5.0 printed (client and daemon; `mod`: use chroot = no, `modc`: yes). Not provoked but written after
 * the formats in rsync's source: those without `[sender]` and the like (3.1), and readlink_stat, Input/output error,
 * `symlink has no referent`, `directory has vanished`, link, chown, chgrp, rsync_xal_set, Read-only file system, File name
 * too long, rmdir, failed verification, `daemon refused`, fstat, and the rename below a module.
 */

function contextOf(given: readonly string[], context: Partial<ComplaintContext> = {}): ComplaintContext {
  return { sourceRoot: '/src', modulePrefix: '', isOurs: (path) => given.includes(path), ...context };
}

const everything: ComplaintContext = { sourceRoot: '/src', modulePrefix: '', isOurs: () => true };

interface Row {
  line: string;
  path: string | undefined;
  kind: ComplaintKind;
  context?: Partial<ComplaintContext>;
}

function expectRow({ line, path, kind, context }: Row): void {
  const given = path === undefined ? [] : [path];
  const { complaints, messages } = parseComplaints([line], contextOf(given, context));
  expect(complaints.map((complaint) => [complaint.kind, complaint.path])).toEqual([[kind, path]]);
  expect(messages).toEqual([]);
}

describe('what the sender complains of', () => {
  test.each<Row>([
    { line: 'rsync: [sender] send_files failed to open "/src/d/y": Permission denied (13)', path: 'd/y', kind: 'lost' },
    { line: 'rsync: send_files failed to open "/src/d/y": Permission denied (13)', path: 'd/y', kind: 'lost' },
    { line: 'rsync: [sender] opendir "/src/closed" failed: Permission denied (13)', path: 'closed', kind: 'lost' },
    {
      line: 'rsync: [sender] link_stat "/src/closed/f" failed: Permission denied (13)',
      path: 'closed/f',
      kind: 'lost',
    },
    {
      line: 'rsync: [sender] link_stat "/src/p/no" failed: No such file or directory (2)',
      path: 'p/no',
      kind: 'vanished',
    },
    { line: 'rsync: link_stat "/src/p/no" failed: No such file or directory (2)', path: 'p/no', kind: 'vanished' },
    {
      line: 'rsync: [sender] change_dir "/src/./none" failed: No such file or directory (2)',
      path: 'none',
      kind: 'vanished',
    },
    { line: 'rsync: [sender] readlink_stat("/src/l") failed: Input/output error (5)', path: 'l', kind: 'lost' },
    {
      line: 'rsync: [sender] send_files failed to open "/src/l": Too many levels of symbolic links (40)',
      path: 'l',
      kind: 'vanished',
    },
    {
      line: 'rsync: [sender] send_files failed to open "/src/d": Is a directory (21)',
      path: 'd',
      kind: 'vanished',
    },
    { line: 'rsync: [sender] read errors mapping "/src/a": No data available (61)', path: 'a', kind: 'vanished' },
    { line: 'rsync: [sender] read errors mapping "/src/a": Input/output error (5)', path: 'a', kind: 'lost' },
    { line: 'file has vanished: "/src/c/f"', path: 'c/f', kind: 'vanished' },
    { line: 'directory has vanished: "/src/c"', path: 'c', kind: 'vanished' },
    { line: 'WARNING: parent dir is absent in the file list: nodir', path: 'nodir', kind: 'vanished' },
    { line: 'filename overflows max-path len by 1: yyy/zzz', path: 'yyy/zzz', kind: 'lost' },
    { line: 'symlink has no referent: "/src/l"', path: 'l', kind: 'lost' },
    { line: 'file has vanished: "/f"', path: 'f', kind: 'vanished', context: { sourceRoot: '/' } },
    { line: 'file has vanished: "/elsewhere/f"', path: undefined, kind: 'vanished' },
  ])('$line', expectRow);
});

describe('what the remote complains of', () => {
  const sub = { modulePrefix: 'sub/dir' };
  test.each<Row>([
    {
      line: 'rsync: [receiver] mkstemp "d/.x.6QdeGh" (in mod) failed: Permission denied (13)',
      path: 'd/x',
      kind: 'lost',
    },
    {
      line: 'rsync: [receiver] mkstemp "/d/.x.oRFphU" (in modc) failed: Permission denied (13)',
      path: 'd/x',
      kind: 'lost',
    },
    { line: 'rsync: mkstemp "/d/.x.oRFphU" (in modc) failed: Permission denied (13)', path: 'd/x', kind: 'lost' },
    {
      line: 'rsync: [receiver] mkstemp "/.x.oRFphU" (in modc) failed: Permission denied (13)',
      path: 'x',
      kind: 'lost',
    },
    {
      line: 'rsync: [receiver] mkstemp "/.x.oRFphU" (in modc) failed: Permission denied (13)',
      path: '.x',
      kind: 'lost',
    },
    {
      line: 'rsync: [receiver] mkstemp "/sub/dir/d/.x.kPCE2v" (in mod) failed: Permission denied (13)',
      path: 'd/x',
      kind: 'lost',
      context: sub,
    },
    {
      line: 'rsync: [receiver] mkstemp "d/.q"u (in mod).K5Xdwf" (in mod) failed: Permission denied (13)',
      path: 'd/q"u (in mod)',
      kind: 'lost',
    },
    {
      line: 'rsync: [receiver] mkstemp "/d/.x.6QdeGh" (in mod) failed: File name too long (36)',
      path: 'd/x',
      kind: 'lost',
    },
    {
      line: 'rsync: [generator] recv_generator: mkdir "/d/sub" (in modc) failed: Permission denied (13)',
      path: 'd/sub',
      kind: 'lost',
    },
    {
      line: 'rsync: [generator] recv_generator: mkdir "/sub/dir/d/n" (in mod) failed: Permission denied (13)',
      path: 'd/n',
      kind: 'lost',
      context: sub,
    },
    {
      line: 'rsync: [generator] recv_generator: failed to stat "closed/a" (in mod): Permission denied (13)',
      path: 'closed/a',
      kind: 'lost',
    },
    {
      line: 'rsync: [generator] opendir "closed" (in mod) failed: Permission denied (13)',
      path: 'closed',
      kind: 'lost',
    },
    {
      line: 'rsync: [generator] symlink "/d/ln" (in modc) -> "t" failed: Permission denied (13)',
      path: 'd/ln',
      kind: 'lost',
    },
    {
      line: 'rsync: [generator] symlink "/a" -> "b" (in modc) -> "t" failed: Permission denied (13)',
      path: 'a" -> "b',
      kind: 'lost',
    },
    {
      line: 'rsync: [generator] link "/h" (in modc) => other failed: Operation not permitted (1)',
      path: 'h',
      kind: 'lost',
    },
    { line: 'rsync: [generator] mknod "d/pipe" (in mod) failed: Permission denied (13)', path: 'd/pipe', kind: 'lost' },
    {
      line: 'rsync: [receiver] rename "/.x.aQZkf7" (in modc) -> "x": Operation not permitted (1)',
      path: 'x',
      kind: 'lost',
    },
    {
      line: 'rsync: [receiver] rename "/sub/dir/d/.x.aQZkf7" (in modc) -> "d/x": Is a directory (21)',
      path: 'd/x',
      kind: 'lost',
      context: sub,
    },
    { line: 'rsync: [receiver] open "/x" (in modc) failed: Permission denied (13)', path: 'x', kind: 'lost' },
    {
      line: 'rsync: [receiver] write failed on "/big" (in mod): No space left on device (28)',
      path: 'big',
      kind: 'lost',
    },
    {
      line: 'rsync: [receiver] write failed on "big" (in small): No space left on device (28)',
      path: 'big',
      kind: 'lost',
    },
    { line: 'rsync: write failed on "/big" (in mod): No space left on device (28)', path: 'big', kind: 'lost' },
    {
      line: 'rsync: [generator] delete_file: unlink(d/gone/in) failed: Permission denied (13)',
      path: 'd/gone/in',
      kind: 'lost',
    },
    {
      line: 'rsync: [generator] delete_file: rmdir(d/gone) failed: Directory not empty (39)',
      path: 'd/gone',
      kind: 'lost',
    },
    { line: 'ERROR: d/x failed verification -- update discarded.', path: 'd/x', kind: 'lost' },
    { line: 'ERROR: daemon refused to receive file "d/x"', path: 'd/x', kind: 'lost' },
    { line: 'could not make way for new regular file: o', path: 'o', kind: 'obstructed' },
    { line: 'could not make way for new symlink: l', path: 'l', kind: 'obstructed' },
    { line: 'could not make way for new directory: d/gonef', path: 'd/gonef', kind: 'obstructed' },
    { line: 'cannot delete non-empty directory: o', path: 'o', kind: 'obstructed' },
    {
      line: 'rsync: [generator] failed to set times on "/x" (in modc): Operation not permitted (1)',
      path: 'x',
      kind: 'cosmetic',
    },
    {
      line: 'rsync: [receiver] failed to set times on "x" (in mod): Operation not permitted (1)',
      path: 'x',
      kind: 'cosmetic',
    },
    { line: 'rsync: failed to set times on "/x" (in modc): Operation not permitted (1)', path: 'x', kind: 'cosmetic' },
    {
      line: 'rsync: [generator] failed to set permissions on "/d" (in modc): Operation not permitted (1)',
      path: 'd',
      kind: 'cosmetic',
    },
    {
      line: 'rsync: [generator] failed to set permissions on "/." (in modc): Operation not permitted (1)',
      path: '',
      kind: 'cosmetic',
    },
    {
      line: 'rsync: [generator] failed to modify permissions on "d" (in mod): Operation not permitted (1)',
      path: 'd',
      kind: 'cosmetic',
    },
    {
      line: 'rsync: [receiver] chown "/.x.aQZkf7" (in modc) failed: Operation not permitted (1)',
      path: '.x.aQZkf7',
      kind: 'cosmetic',
    },
    {
      line: 'rsync: [receiver] chgrp "/d/x" (in modc) failed: Operation not permitted (1)',
      path: 'd/x',
      kind: 'cosmetic',
    },
    {
      line: 'rsync: [receiver] failed to set permissions on "/x" (in modc): Read-only file system (30)',
      path: 'x',
      kind: 'lost',
    },
    {
      line: 'rsync: [generator] rsync_xal_set: lsetxattr("/x" (in modc),"user.a") failed: Operation not supported (95)',
      path: 'x',
      kind: 'cosmetic',
    },
    { line: 'skipping non-regular file "d/pipe"', path: 'd/pipe', kind: 'cosmetic' },
  ])('$line', expectRow);

  test('with ssh the path on the host comes before ours, also when it was given relative to the home directory', () => {
    const line = 'rsync: [receiver] mkstemp "/home/u/dst/sub/d/.y.Twkqur" failed: Permission denied (13)';
    for (const modulePrefix of ['/home/u/dst/sub', 'dst/sub', '~/dst/sub']) {
      expectRow({ line, path: 'd/y', kind: 'lost', context: { modulePrefix } });
    }
  });

  test('a host whose path is a link is understood when just one of our names can be meant', () => {
    const line = 'rsync: [generator] recv_generator: mkdir "/mnt/disk1/d/sub" failed: Permission denied (13)';
    expectRow({ line, path: 'd/sub', kind: 'lost', context: { modulePrefix: '/data/backup' } });
    const { complaints } = parseComplaints([line], { ...everything, modulePrefix: '/data/backup' });
    expect(complaints).toMatchObject([{ path: undefined, kind: 'lost' }]);
  });
});

describe('names', () => {
  test.each([
    ['a line break', 'file has vanished: "/src/nl\\#012x"', 'nl\nx'],
    ['bytes that are not UTF-8', 'file has vanished: "/src/\\#351\\#377"', '\xe9\xff'],
    ['the same with -8', 'file has vanished: "/src/\xe9\xff"', '\xe9\xff'],
    ['a backslash and digits that look like an escape', 'file has vanished: "/src/b\\#134#134"', 'b\\#134'],
    ['quotes at the ends', 'file has vanished: "/src/"q""', '"q"'],
    ['what follows a name', 'file has vanished: "/src/x" (in y"', 'x" (in y'],
  ])('with %s are read byte for byte', (_, line, path) => {
    expectRow({ line, path, kind: 'vanished' });
  });

  test('the text of a complaint is for a person: UTF-8 is readable, the rest escaped', () => {
    const { complaints } = parseComplaints(['file has vanished: "/src/\\#345\\#233\\#276\\#012"'], everything);
    expect(complaints).toMatchObject([{ path: fromText('图\n'), text: 'file has vanished: "/src/图\\#012"' }]);
  });

  test('a temporary of a tree may have been for a name with or without a dot: both are named unless the source has one only', () => {
    const line = 'rsync: [receiver] mkstemp "/d/.x.oRFphU" (in modc) failed: Permission denied (13)';
    expect(parseComplaints([line], everything).complaints.map(({ path }) => path)).toEqual(['d/x', 'd/.x']);
    const knowing = { ...everything, exists: (path: string) => path === 'd/.x' };
    expect(parseComplaints([line], knowing).complaints.map(({ path }) => path)).toEqual(['d/.x']);
  });

  test('a temporary whose name was shortened stands for its directory', () => {
    const line = `rsync: [receiver] mkstemp "/d/.${'x'.repeat(245)}.oRFphU" (in modc) failed: No space left on device (28)`;
    expect(parseComplaints([line], everything).complaints.map(({ path }) => path)).toEqual(['d']);
  });

  test('what lies below a name that was given stands for it, what lies above for itself', () => {
    const lines = [
      'rsync: [generator] delete_file: unlink(o/in/f) failed: Permission denied (13)',
      'rsync: [generator] recv_generator: mkdir "/p" (in modc) failed: Permission denied (13)',
    ];
    const { complaints } = parseComplaints(lines, contextOf(['o', 'p/q']));
    expect(complaints.map(({ path }) => path)).toEqual(['o', 'p']);
  });
});

const NOTHING_SAID = {
  complaints: [],
  messages: [],
  extraneous: 0,
  unreadable: false,
  names: 0,
  filesSent: 0,
  bytesSent: 0,
  hasBegun: false,
  sentTwice: [],
};

describe('other lines', () => {
  test.each([
    'rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394) [sender=3.5.0]',
    'rsync error: error in file IO (code 11) at receiver.c(657) [receiver=3.5.0]',
    'rsync: connection unexpectedly closed (61 bytes received so far) [sender]',
    'rsync: [sender] failed to connect to 127.0.0.1 (127.0.0.1): Connection refused (111)',
    'rsync: [sender] read error: Connection reset by peer (104)',
    'rsync: [sender] safe_write failed to write 41 bytes to fd 3: Connection reset by peer (104)',
    'rsync: getaddrinfo: no.such.host.invalid 873: Name or service not known',
    'rsync: [Receiver] mkdir "none/dir" (in mod) failed: No such file or directory (2)',
    'rsync: mkdir "/none/dir" (in mod) failed: No such file or directory (2)',
    'rsync: [Receiver] change_dir#1 "closed/" (in mod) failed: Permission denied (13)',
    'rsync: [sender] could not open password file ../nosuchpw: No such file or directory (2)',
    'rsync: [sender] Failed to exec /nonexistent/ssh: No such file or directory (2)',
    'rsync: The server is configured to refuse --delete',
    '[sender] io timeout after 2 seconds -- exiting',
    'invalid file mode 00 for gone [Receiver]',
    '@ERROR: max connections (1) reached -- try again later',
    'ERROR: module is read only',
    'ssh: connect to host 127.0.0.1 port 1: Connection refused',
    'Authorized users only. All activity may be monitored.',
  ])('name no file and are kept as they are: %s', (line) => {
    expect(parseComplaints([line], everything)).toEqual({ ...NOTHING_SAID, messages: [line] });
  });

  test.each([
    '',
    '*** Skipping any contents from this failed directory ***',
    'rsync: [generator] failed to open "/x" (in modc), continuing: Permission denied (13)',
  ])('say nothing by themselves: %j', (line) => {
    expect(parseComplaints([line], everything)).toEqual(NOTHING_SAID);
  });

  test('what rsync sends again by itself is no complaint, and told', () => {
    const line = 'WARNING: d/x failed verification -- update discarded (will try again).';
    expect(parseComplaints([line], everything)).toEqual({ ...NOTHING_SAID, sentTwice: ['d/x'] });
  });

  test('a failure that names nothing counts as a loss of something', () => {
    const { complaints } = parseComplaints(['rsync: [sender] fstat failed: Input/output error (5)'], everything);
    expect(complaints).toMatchObject([{ path: undefined, kind: 'lost' }]);
  });

  test('the deletions that were not made are counted', () => {
    const { extraneous } = parseComplaints(['Deletions stopped due to --max-delete limit (4 skipped)'], everything);
    expect(extraneous).toBe(4);
  });

  test('a carriage return of ssh is no part of the text', () => {
    expect(parseComplaints(['Connection refused\r'], everything).messages).toEqual(['Connection refused']);
  });
});

describe('many lines', () => {
  test('one name is complained of once in each way, in the words that came first', () => {
    const lines = [
      'rsync: [generator] delete_file: unlink(o/in/f) failed: Permission denied (13)',
      'rsync: [generator] delete_file: unlink(o/in/g) failed: Permission denied (13)',
      'could not make way for new regular file: o',
    ];
    const { complaints } = parseComplaints(lines, contextOf(['o']));
    expect(complaints.map(({ kind, path }) => [kind, path])).toEqual([
      ['lost', 'o'],
      ['obstructed', 'o'],
    ]);
    expect(complaints[0]?.text).toContain('unlink(o/in/f)');
  });

  test('a directory that a comparison does not delete is extra; what stands in the way is complained of all the same', () => {
    const lines = ['cannot delete non-empty directory: o', 'cannot delete non-empty directory: extra'];
    const comparing = { ...everything, onlyCompares: true };
    expect(parseComplaints(lines, comparing)).toEqual({ ...NOTHING_SAID, extraneous: 2 });
    const { complaints } = parseComplaints([...lines, 'could not make way for new regular file: o'], comparing);
    expect(complaints.map(({ kind, path }) => [kind, path])).toEqual([['obstructed', 'o']]);
  });

  test('what is extra is not known when something could not be read', () => {
    const denied = 'rsync: [sender] opendir "/src/closed" failed: Permission denied (13)';
    expect(parseComplaints([denied], everything).unreadable).toBe(false);
    const { unreadable, messages } = parseComplaints(
      [denied, 'IO error encountered -- skipping file deletion'],
      everything,
    );
    expect(unreadable).toBe(true);
    expect(messages).toEqual([]);
  });

  test.each(['building file list ... done', 'building file list ... ', 'sending incremental file list'])(
    'rsync has come to the remote when it says %j',
    (line) => {
      expect(parseComplaints([line], everything)).toEqual({ ...NOTHING_SAID, hasBegun: true });
    },
  );

  test('the names and what was sent are counted, and the other statistics say nothing', () => {
    // 3.5.0 and 3.2.7: -v --info=stats2 --no-h; the last with -h.
    const statistics = [
      'Number of files: 1531 (reg: 1500, dir: 31)',
      'Number of created files: 1530 (reg: 1500, dir: 30)',
      'Number of deleted files: 0',
      'Number of regular files transferred: 1400',
      'Total file size: 1536000 bytes',
      'Total transferred file size: 1433600 bytes',
      'Literal data: 0 bytes',
      'Matched data: 0 bytes',
      'File list size: 0',
      'File list generation time: 0.001 seconds',
      'File list transfer time: 0.000 seconds',
      'Total bytes sent: 74458',
      'Total bytes received: 28655',
      'sent 74458 bytes  received 28655 bytes  206226.00 bytes/sec',
      'total size is 0  speedup is 0.00',
      'sent 74.46K bytes  received 28.66K bytes  206.23K bytes/sec',
    ];
    expect(parseComplaints(statistics, everything)).toEqual({
      ...NOTHING_SAID,
      names: 1531,
      filesSent: 1400,
      bytesSent: 1_433_600,
    });
    expect(parseComplaints(['Number of files you may have: 5'], everything)).toMatchObject({ names: 0 });
  });

  test('memory is bounded and what is left out still counts as lost', () => {
    const reader = new ComplaintReader(everything);
    for (let at = 0; at < 12_000; at++) {
      reader.read(`rsync: [generator] recv_generator: mkdir "/d${at}" (in m) failed: No space left on device (28)`);
      reader.read(`noise ${at}`);
    }
    const { complaints, messages } = reader.result();
    expect(complaints).toHaveLength(10_001);
    expect(complaints.at(-1)).toMatchObject({ path: undefined, kind: 'lost' });
    expect(messages).toHaveLength(50);
  });
});

describe('parseItemized', () => {
  const file = { isDirectory: false, isSentFile: true, isCreated: true, isChanged: true, isDeletion: false };
  test.each([
    ['<f+++++++++ 2  lead', { ...file, length: 2, path: ' lead' }],
    ['<f+++++++++ 2 b\\#134#134 \\#351\\#377 \\ "q', { ...file, length: 2, path: 'b\\#134 \xe9\xff \\ "q' }],
    ['<f+++++++++ 4 ta\tb\\#012nl', { ...file, length: 4, path: 'ta\tb\nnl' }],
    ['<f+++++++++ 2 \xe5\x9b\xbe', { ...file, length: 2, path: fromText('图') }],
    ['>f+++++++++ 5 local', { ...file, length: 5, path: 'local' }],
    ['<f.st...... 11 d/f', { ...file, isCreated: false, length: 11, path: 'd/f' }],
    ['<f.st...... 11 12 34', { ...file, isCreated: false, length: 11, path: '12 34' }],
    ['.f...p..... 6 d/f', { ...file, isSentFile: false, isChanged: false, isCreated: false, length: 6, path: 'd/f' }],
    ['hf+++++++++ 6 hl', { ...file, isSentFile: false, length: 6, path: 'hl' }],
    ['cL+++++++++ 1 d/ln', { ...file, isSentFile: false, length: 1, path: 'd/ln' }],
    ['cS+++++++++ 0 p', { ...file, isSentFile: false, length: 0, path: 'p' }],
    ['cd+++++++++ 100 d/', { ...file, isSentFile: false, isDirectory: true, length: 100, path: 'd' }],
    [
      '.d..t...... 100 ./',
      { ...file, isSentFile: false, isChanged: false, isCreated: false, isDirectory: true, length: 100, path: '' },
    ],
    [
      '*deleting   0 ex/\\#351',
      { ...file, isSentFile: false, isCreated: false, isChanged: false, isDeletion: true, length: 0, path: 'ex/\xe9' },
    ],
    [
      '*deleting   0 ex/in/',
      {
        ...file,
        isSentFile: false,
        isCreated: false,
        isChanged: false,
        isDeletion: true,
        isDirectory: true,
        length: 0,
        path: 'ex/in',
      },
    ],
  ])('%j', (line, expected) => {
    expect(parseItemized(line)).toEqual(expected);
  });

  test.each([
    '',
    'sending incremental file list',
    ' 0 files...\r5 files to consider',
    '\r             11 100%    0.00kB/s    0:00:00 (xfr#1, to-chk=0/5)',
    'Number of files: 5 (reg: 2, dir: 3)',
    'cannot delete non-empty directory: <f+++++++++ 2 x',
    'IO error encountered -- skipping file deletion',
    'skipping non-regular file "d/dev"',
    'created directory /x',
  ])('any other line is none: %j', (line) => {
    expect(parseItemized(line)).toBeUndefined();
  });
});
