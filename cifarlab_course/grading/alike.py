"""Find answers that are the same but for names, comments and layout: a hint, never a verdict."""

import builtins
import hashlib
import io
import keyword
import token
import tokenize
from collections.abc import Mapping

LONGEST = 20_000  # characters of an answer that is compared
SHORTEST = 40  # tokens: most people write what is shorter in one of a few ways
FEW = 5  # learners, or a tenth of the class: what more have in common is how one solves it
UNSEEN = {token.NL, token.COMMENT, token.ENDMARKER}
LINE = {token.NEWLINE, token.INDENT, token.DEDENT}  # where one begins or ends
STARTS = [[], *([token.tok_name[each]] for each in LINE)]  # of a line: one that ends there is empty
END = tokenize.TokenInfo(token.NEWLINE, "", (0, 0), (0, 0), "")
KNOWN = {*dir(builtins), *keyword.kwlist}


def structure(source: str) -> str:
    """A digest of an answer, equal for two that differ in names, comments and layout alone.

    Empty for what is too short to tell, too long, or no Python.
    """
    if len(source) > LONGEST:
        return ""
    try:
        tokens = [
            each
            for each in tokenize.generate_tokens(io.StringIO(source).readline)
            if each.type not in UNSEEN
        ]
    except (tokenize.TokenError, SyntaxError):
        return ""
    names: dict[str, str] = {}
    parts: list[str] = []
    for before, each, after in zip([END, *tokens], tokens, [*tokens[1:], END], strict=False):
        words = each.type == token.STRING and before.type in LINE and after.type in LINE
        own = each.type == token.NAME and each.string not in KNOWN and before.string != "."
        if own and not (after.string == "=" and before.string in ("(", ",")):  # f(keyword=...)
            parts.append(names.setdefault(each.string, f"name {len(names)}"))
        elif each.type in LINE:
            if each.type != token.NEWLINE or parts[-1:] not in STARTS:
                parts.append(token.tok_name[each.type])
        elif not words:  # a docstring, or words for nobody
            parts.append(each.string)
    if len(parts) < SHORTEST:
        return ""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def groups(structures: Mapping[str, str], reference: str) -> list[list[str]]:
    """Learners whose answers to a question are alike, group by group; none of too many.

    `structures` are by learner; what is alike to the published solution, the `reference`, many
    come to by themselves.
    """
    by_structure: dict[str, list[str]] = {}
    published = structure(reference)
    for learner, found in structures.items():
        if found and found != published:
            by_structure.setdefault(found, []).append(learner)
    most = max(FEW, len(structures) // 10)
    return sorted(sorted(group) for group in by_structure.values() if 2 <= len(group) <= most)
