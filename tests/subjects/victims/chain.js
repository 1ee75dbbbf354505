// SPDX-License-Identifier: Apache-2.0
// outer -> middle -> inner in compiled JavaScript (run with --max-inlined-bytecode-size=0, so that they stay three).
'use strict';

function inner(x) {
  for (let i = 0; i < 20000; i++) x = (Math.imul(x, 1103515245) + 12345) | 0;
  return x;
}

function middle(x) {
  return inner(x) + 1;
}

function outer(x) {
  return middle(x) ^ 1;
}

const end = Date.now() + 1000 * Number(process.argv[2]);
process.stdout.write('ready\n');
let x = 1;
while (Date.now() < end) x = outer(x) | 0;
