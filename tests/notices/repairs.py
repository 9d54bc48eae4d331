"""Each repair of extraction residue in the supplied notices: (what was supplied, what is stored, why).

Applied in order to the supplied file they give the stored text exactly; no word is changed.
"""

REPAIRS: dict[str, list[tuple[str, str, str]]] = {
    "144-2020": [
        ("指标体\n\n系一并", "指标体系一并", "page break inside a word"),
        ("农村\n\n电商服务站点分布", "农村电商服务站点分布", "page break inside a sentence"),
        ("关于用\n\n好内外贸", "关于用好内外贸", "page break inside a title"),
        ("绩效评价复核和\n\n日常评价", "绩效评价复核和日常评价", "page break inside a sentence"),
        ("效率 and 市场化", "效率和市场化", "stray English conjunction in a Chinese sentence"),
        ("</p> <p>", "\n", "paragraph tags of the table's cells"),
        ("<p>", "", "paragraph tag that opens a table cell"),
        ("</p>", "", "paragraph tag that closes a table cell"),
    ],
    "demonstration-2020": [
        ("[bookmark: _GoBack]", "", "bookmark of the word processor"),
    ],
}
