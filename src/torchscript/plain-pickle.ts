/** What a debug record is made of: lists and tuples are arrays. */
export type Plain = null | boolean | number | string | readonly Plain[];

/**
 * Reads a pickle of numbers, strings, tuples and lists: an archive's debug records, which are larger than its code.
 * Their whole content is optional, so this knows little, checks little and is quick; {@link unpickle} is for what
 * counts. Undefined where the bytes are anything else.
 */
export function readPlainPickle(bytes: Uint8Array): Plain | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stack: Plain[] = [];
  const marks: number[] = [];
  const memo: Plain[] = [];
  const end = buffer.length;
  let at = 0;
  try {
    while (at < end) {
      const opcode = buffer[at++];
      switch (opcode) {
        case 0x80: // PROTO
          at += 1;
          break;
        case 0x28: // MARK
          marks.push(stack.length);
          break;
        case 0x4b: // BININT1
          stack.push(buffer[at++] as number);
          break;
        case 0x4d: // BININT2
          stack.push(buffer.readUInt16LE(at));
          at += 2;
          break;
        case 0x4a: // BININT
          stack.push(buffer.readInt32LE(at));
          at += 4;
          break;
        case 0x8a: {
          // LONG1
          const length = buffer[at] as number;
          if (length > 6) return undefined;
          stack.push(length === 0 ? 0 : buffer.readIntLE(at + 1, length));
          at += 1 + length;
          break;
        }
        case 0x58: {
          // BINUNICODE
          const length = buffer.readUInt32LE(at);
          stack.push(buffer.toString("utf8", at + 4, at + 4 + length));
          at += 4 + length;
          break;
        }
        case 0x4e: // NONE
          stack.push(null);
          break;
        case 0x88: // NEWTRUE
        case 0x89: // NEWFALSE
          stack.push(opcode === 0x88);
          break;
        case 0x29: // EMPTY_TUPLE
        case 0x5d: // EMPTY_LIST
          stack.push([]);
          break;
        case 0x85: // TUPLE1
        case 0x86: // TUPLE2
        case 0x87: // TUPLE3
          stack.push(stack.splice(stack.length - (opcode - 0x84)));
          break;
        case 0x74: // TUPLE
          stack.push(stack.splice(marks.pop() as number));
          break;
        case 0x65: {
          // APPENDS
          const items = stack.splice(marks.pop() as number);
          (stack.at(-1) as Plain[]).push(...items);
          break;
        }
        case 0x61: {
          // APPEND
          const item = stack.pop() as Plain;
          (stack.at(-1) as Plain[]).push(item);
          break;
        }
        case 0x71: // BINPUT
          memo[buffer[at++] as number] = stack.at(-1) as Plain;
          break;
        case 0x72: // LONG_BINPUT
          memo[buffer.readUInt32LE(at)] = stack.at(-1) as Plain;
          at += 4;
          break;
        case 0x68: // BINGET
          stack.push(memo[buffer[at++] as number] as Plain);
          break;
        case 0x6a: // LONG_BINGET
          stack.push(memo[buffer.readUInt32LE(at)] as Plain);
          at += 4;
          break;
        case 0x63: {
          // GLOBAL: build_intlist, whose call gives its argument
          const module = buffer.indexOf(10, at);
          const name = buffer.indexOf(10, module + 1);
          if (module < 0 || name < 0) return undefined;
          at = name + 1;
          stack.push(null);
          break;
        }
        case 0x52: {
          // REDUCE
          const args = stack.pop() as readonly Plain[];
          stack.pop();
          stack.push(args[0] as Plain);
          break;
        }
        case 0x2e: // STOP
          return stack.pop();
        default:
          return undefined;
      }
    }
  } catch {
    // A read beyond the end, or an opcode whose operand is missing.
  }
  return undefined;
}
