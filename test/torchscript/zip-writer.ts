import { deflateRawSync } from "node:zlib";

export interface ZipMember {
  readonly name: string;
  readonly data: Uint8Array | string;
  readonly deflate?: boolean;
  /** What the directory claims, where that is not the truth. */
  readonly claims?: { readonly size?: number; readonly compressedSize?: number; readonly headerOffset?: number };
  readonly flags?: number;
  readonly method?: number;
}

/** A ZIP archive of these members, sound unless they say otherwise; `zip64` writes all sizes as ZIP64 does. */
export function writeZip(members: readonly ZipMember[], zip64 = false): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  const push = (part: Buffer): void => {
    parts.push(part);
    offset += part.length;
  };
  for (const member of members) {
    const name = Buffer.from(member.name);
    const raw = Buffer.from(member.data);
    const data = member.deflate === true ? deflateRawSync(raw) : raw;
    const start = offset;
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    push(local);
    push(name);
    push(data);
    const size = member.claims?.size ?? raw.length;
    const compressedSize = member.claims?.compressedSize ?? data.length;
    const headerOffset = member.claims?.headerOffset ?? start;
    const wide = zip64 || size > 0xffffffff || compressedSize > 0xffffffff;
    const extra = Buffer.alloc(wide ? 28 : 0);
    if (wide) {
      extra.writeUInt16LE(1, 0);
      extra.writeUInt16LE(24, 2);
      extra.writeBigUInt64LE(BigInt(size), 4);
      extra.writeBigUInt64LE(BigInt(compressedSize), 12);
      extra.writeBigUInt64LE(BigInt(headerOffset), 20);
    }
    const header = Buffer.alloc(46);
    header.writeUInt32LE(0x02014b50, 0);
    header.writeUInt16LE(member.flags ?? 0, 8);
    header.writeUInt16LE(member.method ?? (member.deflate === true ? 8 : 0), 10);
    header.writeUInt32LE(wide ? 0xffffffff : compressedSize, 20);
    header.writeUInt32LE(wide ? 0xffffffff : size, 24);
    header.writeUInt16LE(name.length, 28);
    header.writeUInt16LE(extra.length, 30);
    header.writeUInt32LE(wide ? 0xffffffff : headerOffset, 42);
    directory.push(header, name, extra);
  }
  const start = offset;
  for (const part of directory) push(part);
  const size = offset - start;
  if (zip64) {
    const end = Buffer.alloc(76);
    end.writeUInt32LE(0x06064b50, 0);
    end.writeBigUInt64LE(44n, 4);
    end.writeBigUInt64LE(BigInt(members.length), 24);
    end.writeBigUInt64LE(BigInt(members.length), 32);
    end.writeBigUInt64LE(BigInt(size), 40);
    end.writeBigUInt64LE(BigInt(start), 48);
    end.writeUInt32LE(0x07064b50, 56);
    end.writeBigUInt64LE(BigInt(offset), 64);
    end.writeUInt32LE(1, 72);
    push(end);
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(zip64 ? 0xffff : members.length, 8);
  end.writeUInt16LE(zip64 ? 0xffff : members.length, 10);
  end.writeUInt32LE(zip64 ? 0xffffffff : size, 12);
  end.writeUInt32LE(zip64 ? 0xffffffff : start, 16);
  push(end);
  return Buffer.concat(parts);
}

/** The members of a sound, empty TorchScript archive, with more added or put in their place. */
export function torchscript(...more: readonly ZipMember[]): ZipMember[] {
  const members: ZipMember[] = [
    { name: "m/data.pkl", data: "\x80\x02}." },
    { name: "m/code/__torch__.py", data: "class M(Module):\n  pass\n", deflate: true },
    { name: "m/constants.pkl", data: "\x80\x02)." },
    { name: "m/version", data: "3\n" },
  ];
  const names = new Set(more.map(({ name }) => name));
  return [...members.filter(({ name }) => !names.has(name)), ...more];
}
