import type { z } from "zod";

/**
 * What a file of ours holds; null where it is not what this version writes. The schema holds what reading it relies on, and the caller
 * names the type.
 */
export function parseChecked<T>(text: string, schema: z.ZodType): T | null {
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? (parsed.data as T) : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
