// Small faults that somebody could have made, one at a time: what a test suite should notice.

import { parseAst } from "rolldown/parseAst";

const BINARY = {
  "+": "-",
  "-": "+",
  "*": "/",
  "/": "*",
  "%": "*",
  "<": "<=",
  "<=": "<",
  ">": ">=",
  ">=": ">",
  "==": "!=",
  "!=": "==",
  "===": "!==",
  "!==": "===",
  "<<": ">>>",
  ">>": "<<",
  ">>>": "<<",
  "&": "|",
  "|": "&",
  "^": "&",
  "&&": "||",
  "||": "&&",
};

const ASSIGNMENT = { "+=": "-=", "-=": "+=", "*=": "+=", "<<=": ">>=", ">>=": "<<=", "|=": "&=", "&=": "|=" };

/** Members of the vector types, and functions of assembly/simd.ts. */
const CALLS = {
  "f32x4.add": "f32x4.sub",
  "f32x4.sub": "f32x4.add",
  "f32x4.mul": "f32x4.add",
  "f32x4.div": "f32x4.mul",
  "f32x4.max": "f32x4.min",
  "f32x4.min": "f32x4.max",
  "f32x4.gt": "f32x4.lt",
  "f32x4.lt": "f32x4.gt",
  "f64x2.add": "f64x2.sub",
  "v128.and": "v128.or",
  "v128.or": "v128.and",
  min: "max",
  max: "min",
  "Math.min": "Math.max",
  "Math.max": "Math.min",
};

/**
 * @typedef {object} Mutant
 * @property {number} line counted from 1
 * @property {number} start of what is changed
 * @property {string} was
 * @property {string} is
 * @property {string} code the whole file with the fault
 */

/**
 * All mutants of a file, in the order of the text. What is inside of error texts, assertions and types is left alone.
 *
 * @param {string} code TypeScript or AssemblyScript
 * @returns {Mutant[]}
 */
export function mutantsOf(code) {
  const mutants = [];
  const add = (start, end, is) => {
    const line = code.slice(0, start).split("\n").length;
    mutants.push({ line, start, was: code.slice(start, end), is, code: code.slice(0, start) + is + code.slice(end) });
  };
  const text = (node) => code.slice(node.start, node.end);
  const operator = (node, is) => {
    const at = code.indexOf(node.operator, node.left.end);
    add(at, at + node.operator.length, is);
  };

  const visit = (node, parent) => {
    switch (node.type) {
      case "BinaryExpression":
      case "LogicalExpression":
        // Without `+` of texts: a message that is NaN nobody would write.
        if (BINARY[node.operator] && !(node.operator === "+" && (isText(node.left) || isText(node.right)))) {
          operator(node, BINARY[node.operator]);
        }
        break;
      case "AssignmentExpression":
        if (ASSIGNMENT[node.operator] && !isText(node.right)) operator(node, ASSIGNMENT[node.operator]);
        break;
      case "UnaryExpression":
        // `!` of a whole condition: that is the condition turned round.
        if (/^[-~!]$/.test(node.operator) && !(node.operator === "!" && parent.test === node)) {
          add(node.start, node.end, text(node.argument));
        }
        break;
      case "UpdateExpression":
        add(node.start, node.end, text(node).replaceAll(node.operator, node.operator === "++" ? "--" : "++"));
        break;
      case "IfStatement":
      case "ConditionalExpression":
        add(node.test.start, node.test.end, `!(${text(node.test)})`);
        break;
      case "Literal":
        if (typeof node.value === "boolean") add(node.start, node.end, String(!node.value));
        if (typeof node.value === "number" && !(parent.type === "Property" && parent.key === node)) {
          add(node.start, node.end, otherNumber(node));
        }
        break;
      case "CallExpression": {
        const called = text(node.callee);
        if (CALLS[called]) add(node.callee.start, node.callee.end, CALLS[called]);
        break;
      }
      case "ExpressionStatement": {
        const { type, callee } = node.expression;
        const isLeftOut = type === "AssignmentExpression" || (type === "CallExpression" && callee.type !== "Super");
        if (isLeftOut && !isIgnored(node.expression, text)) add(node.start, node.end, ";");
        break;
      }
    }
    if (isIgnored(node, text)) return;
    for (const value of Object.values(node)) {
      for (const child of Array.isArray(value) ? value : [value]) {
        if (child !== null && typeof child === "object" && typeof child.type === "string") visit(child, node);
      }
    }
  };
  // AssemblyScript is TypeScript, but for decorators of functions and constants.
  const program = parseAst(
    code.replace(/^( *)@(\w+)/gm, (all) => " ".repeat(all.length)),
    { lang: "ts" },
  );
  visit(program, program);
  return mutants.sort((a, b) => (a.line === b.line ? 0 : a.line - b.line));
}

/** One more; of a fraction twice as much. To AssemblyScript a number with a point is another type than one without. */
function otherNumber({ value, raw }) {
  const number = String(Number.isInteger(value) ? value + 1 : value * 2);
  return /^[\d_]*\./.test(raw) && /^\d+$/.test(number) ? `${number}.0` : number;
}

const isText = (node) => node.type === "TemplateLiteral" || (node.type === "Literal" && typeof node.value === "string");

/** Types, texts, assertions, imports. */
function isIgnored(node, text) {
  if (/^TS|^ImportDeclaration$|^TemplateLiteral$|^ThrowStatement$/.test(node.type))
    return !/^TSAs|^TSSat|^TSNonNull|^TSTypeAss/.test(node.type);
  return node.type === "CallExpression" && /^assert/.test(text(node.callee));
}
