import type { Expression, Statement } from "./ast.js";

/** The variables that statements assign, nested blocks included, nested functions not. */
export function assignedNames(statements: readonly Statement[], into: Set<string> = new Set()): Set<string> {
  for (const statement of statements) {
    switch (statement.kind) {
      case "Assign":
        if (statement.value !== undefined) for (const target of statement.targets) targetNames(target, into);
        break;
      case "AugmentedAssign":
        targetNames(statement.target, into);
        break;
      case "If":
        assignedNames(statement.body, into);
        assignedNames(statement.otherwise, into);
        break;
      case "For":
        targetNames(statement.target, into);
        assignedNames(statement.body, into);
        break;
      case "While":
        assignedNames(statement.body, into);
        break;
      case "With":
        for (const { target } of statement.items) if (target !== undefined) targetNames(target, into);
        assignedNames(statement.body, into);
        break;
    }
  }
  return into;
}

function targetNames(target: Expression, into: Set<string>): void {
  if (target.kind === "Name") into.add(target.name);
  else if (target.kind === "Tuple" || target.kind === "List") {
    for (const element of target.elements) targetNames(element, into);
  }
}
