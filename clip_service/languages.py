"""Languages of a search query, as NLLB's tokenizer names them.

The nllb-clip models read the query's language from its first token, a FLORES-200 code such as `zho_Hans`. Immich sends
the tag of its user interface, such as `zh-CN`.
"""

ENGLISH = "eng_Latn"

# FLORES-200 codes (language and script) of BCP 47 languages, by script.
_BY_SCRIPT = {
    "Arab": "ar:arb fa:pes ur:urd ps:pbt ug:uig sd:snd",
    "Armn": "hy:hye",
    "Beng": "bn:ben as:asm",
    "Cyrl": "be:bel bg:bul kk:kaz ky:kir mk:mkd mn:khk ru:rus sr:srp tg:tgk tt:tat uk:ukr",
    "Deva": "hi:hin mr:mar ne:npi sa:san",
    "Ethi": "am:amh ti:tir",
    "Geor": "ka:kat",
    "Grek": "el:ell",
    "Gujr": "gu:guj",
    "Guru": "pa:pan",
    "Hang": "ko:kor",
    "Hans": "zh:zho",
    "Hant": "yue:yue",
    "Hebr": "he:heb yi:ydd",
    "Jpan": "ja:jpn",
    "Khmr": "km:khm",
    "Knda": "kn:kan",
    "Laoo": "lo:lao",
    "Latn": (
        "af:afr az:azj bs:bos ca:cat cs:ces cy:cym da:dan de:deu en:eng eo:epo es:spa et:est eu:eus fi:fin fil:tgl "
        "fr:fra ga:gle gd:gla gl:glg ha:hau hr:hrv ht:hat hu:hun id:ind ig:ibo is:isl it:ita jv:jav kmr:kmr ku:kmr "
        "lb:ltz lt:lit lv:lvs mfa:zsm mg:plt mi:mri ms:zsm mt:mlt nb:nob nl:nld nn:nno no:nob oc:oci pl:pol pt:por "
        "ro:ron rw:kin sk:slk sl:slv sm:smo sn:sna so:som sq:als su:sun sv:swe sw:swh tk:tuk tl:tgl tr:tur uz:uzn "
        "vi:vie wo:wol xh:xho yo:yor zu:zul"
    ),
    "Mlym": "ml:mal",
    "Mymr": "my:mya",
    "Orya": "or:ory",
    "Sinh": "si:sin",
    "Taml": "ta:tam",
    "Telu": "te:tel",
    "Thai": "th:tha",
    "Tibt": "bo:bod",
}

_FLORES = {
    language: f"{code}_{script}"
    for script, pairs in _BY_SCRIPT.items()
    for language, code in (pair.split(":") for pair in pairs.split())
}

# Where a region or script of the tag changes the written language.
_VARIANTS = {
    "zh-tw": "zho_Hant",
    "zh-hk": "zho_Hant",
    "zh-mo": "zho_Hant",
    "zh-hant": "zho_Hant",
    "sr-latn": "hrv_Latn",
}


def flores_code(tag: str) -> str:
    """The FLORES-200 code of a BCP 47 tag, e.g. `zho_Hans` of `zh-CN`; English for one that nobody knows."""
    parts = tag.replace("_", "-").lower().split("-")
    variant = next((_VARIANTS[key] for part in parts[1:] if (key := f"{parts[0]}-{part}") in _VARIANTS), None)
    return variant or _FLORES.get(parts[0], ENGLISH)
