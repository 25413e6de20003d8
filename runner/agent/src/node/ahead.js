// Makes an interpreter wait in front of its script until the agent gives it arguments and variables.
'use strict';
{
  const fs = require('node:fs');
  // What a first line of output needs of Node itself: in memory before the job is there. Standard output is not touched.
  for (const name of ['net', 'tty', 'util']) require(`node:${name}`);
  const nowhere = new (require('node:stream').Writable)({ write: (chunk, encoding, done) => done() });
  new (require('node:console').Console)(nowhere).log('%s', { a: [1, 'b', null] }, new Map());
  fs.writeSync(4, '\n');
  fs.closeSync(4);
  const read = (length) => {
    const buffer = Buffer.alloc(length);
    for (let at = 0; at < length; ) {
      const count = fs.readSync(3, buffer, at, length - at, null);
      if (count === 0) process.exit();
      at += count;
    }
    return buffer;
  };
  const [count, ...fields] = read(Number(read(9).subarray(0, 8))).toString().split('\0');
  fs.closeSync(3);
  process.argv.push(...fields.slice(0, Number(count)));
  process.execArgv.length = 0;
  for (const name of Object.keys(process.env)) delete process.env[name];
  for (const field of fields.slice(Number(count))) {
    const at = field.indexOf('=');
    process.env[field.slice(0, at)] = field.slice(at + 1);
  }
  delete require.cache[__filename];
}
