/** Swaps two names in one step: renameat2(2) with RENAME_EXCHANGE. Arguments: one name, the other. */
import process from 'node:process';
import koffi from 'koffi';

const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;

const libc = koffi.load(null);
const renameat2 = libc.func(
  'int renameat2(int fd1, const char *name1, int fd2, const char *name2, unsigned int flags)',
);
const [one, other] = process.argv.slice(2);
if (renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) !== 0) {
  throw new Error(`cannot exchange ${one} and ${other}: errno ${koffi.errno()}`);
}
