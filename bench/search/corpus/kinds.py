"""The kinds of photos that hold text, and the lines of each."""

# ruff: noqa: E501 - tables read best as lines

import random
from collections.abc import Callable

from bench.search.corpus import lexicon as words
from bench.search.corpus.photo import LARGE, MEDIUM, SMALL, Line

Rng = random.Random
Maker = Callable[[Rng], list[Line]]


def _date(rng: Rng) -> tuple[int, int, int]:
    return rng.randint(2016, 2025), rng.randint(1, 12), rng.randint(1, 28)


def _digits(rng: Rng, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def _person(rng: Rng) -> str:
    return rng.choice(words.SURNAMES) + "".join(rng.choice(words.GIVEN) for _ in range(rng.randint(1, 2)))


def _company(rng: Rng) -> str:
    return f"{rng.choice(words.CITIES)}{rng.choice(words.BRANDS)}{rng.choice(words.TRADES)}有限公司"


def _price(rng: Rng) -> str:
    return f"{rng.randint(1, 9999)}.{rng.choice(('00', '50', '80', '90', '25'))}"


def _invoice(rng: Rng) -> list[Line]:
    year, month, day = _date(rng)
    title = rng.choice(
        ("增值税电子普通发票", "增值税专用发票", "通用机打发票", "电子发票", "出租汽车发票", "餐饮业定额发票")
    )
    lines = [
        Line(f"{rng.choice(words.CITIES)}{title}" if rng.random() < 0.5 else title, LARGE),
        Line(f"发票号码:{_digits(rng, 8)}", SMALL),
        Line(f"开票日期:{year}年{month:02}月{day:02}日", SMALL),
        Line(f"购买方:{_company(rng)}", SMALL),
        Line(f"纳税人识别号:91{_digits(rng, 13)}{rng.choice('ABCDEFGHJK')}{_digits(rng, 2)}", SMALL),
    ]
    lines += [
        Line(f"{rng.choice(words.ITEMS)} {rng.randint(1, 9)} {_price(rng)}", SMALL) for _ in range(rng.randint(1, 4))
    ]
    return [
        *lines,
        Line(f"价税合计 ¥{_price(rng)}", SMALL),
        Line(f"销售方:{_company(rng)}", SMALL),
        Line(f"开票人:{_person(rng)}", SMALL),
    ]


def _receipt(rng: Rng) -> list[Line]:
    year, month, day = _date(rng)
    lines = [
        Line(f"{rng.choice(words.BRANDS)}超市{rng.choice(words.CITIES)}店", MEDIUM),
        Line(f"流水号 {_digits(rng, 12)}", SMALL),
    ]
    lines += [Line(f"{rng.choice(words.ITEMS)} {_price(rng)}", SMALL) for _ in range(rng.randint(2, 8))]
    return [
        *lines,
        Line(f"合计 {_price(rng)} 微信支付", SMALL),
        Line(f"{year}-{month:02}-{day:02} {rng.randint(8, 22)}:{rng.randint(10, 59)}", SMALL),
        Line("谢谢惠顾 欢迎再次光临", SMALL),
    ]


def _train_ticket(rng: Rng) -> list[Line]:
    year, month, day = _date(rng)
    start, end = rng.sample(words.CITIES, 2)
    return [
        Line(f"{start}站 {rng.choice('GDKTZ')}{rng.randint(1, 9999)}次 {end}站", LARGE),
        Line(
            f"{year}年{month:02}月{day:02}日 {rng.randint(6, 22)}:{rng.randint(10, 59)}开 {rng.randint(1, 16):02}车{rng.randint(1, 20):02}{rng.choice('ABCDF')}号",
            MEDIUM,
        ),
        Line(f"¥{rng.randint(20, 900)}.5元 二等座", MEDIUM),
        Line(f"{_digits(rng, 10)}****{_digits(rng, 4)} {_person(rng)}", SMALL),
        Line("买票请到12306 发货请到95306", SMALL),
    ]


def _menu(rng: Rng) -> list[Line]:
    title = rng.choice(
        (f"{rng.choice(words.BRANDS)}酒家菜单", "今日特价", "早餐菜单", f"{rng.choice(words.CITIES)}风味小吃")
    )
    return [
        Line(title, LARGE),
        *(Line(f"{dish} {rng.randint(6, 188)}元", MEDIUM) for dish in rng.sample(words.DISHES, rng.randint(3, 10))),
    ]


def _sign(rng: Rng) -> list[Line]:
    form = rng.random()
    if form < 0.4:
        return [Line(rng.choice(words.NOTICES), LARGE)]
    if form < 0.7:
        return [
            Line(rng.choice(words.STREETS), LARGE),
            Line(f"{rng.choice(words.STREETS)} {rng.randint(1, 999)}号", MEDIUM),
        ]
    return [Line(rng.choice(words.PLACES), LARGE), Line(f"{rng.choice(words.CITIES)}欢迎您", MEDIUM)]


def _chat(rng: Rng) -> list[Line]:
    lines = [Line(_person(rng), MEDIUM)]
    said = (rng.choice(words.CHAT) if rng.random() < 0.6 else _sentence(rng) for _ in range(rng.randint(3, 9)))
    lines += [Line(text, MEDIUM) for text in said]
    return [*lines, Line(f"{rng.randint(0, 23)}:{rng.randint(10, 59)}", SMALL)]


def _sentence(rng: Rng) -> str:
    parts = [
        rng.choice(words.COMMON),
        rng.choice(words.VERBS),
        rng.choice(words.COMMON),
        rng.choice(("的", "和", "与", "")),
        rng.choice(words.COMMON),
    ]
    return "".join(parts)


def _slide(rng: Rng) -> list[Line]:
    subject = rng.choice(words.SUBJECTS)
    lines = [Line(f"第{rng.choice('一二三四五六七八九十')}章 {subject}", LARGE)]
    lines += [Line(f"{number}. {_sentence(rng)}", MEDIUM) for number in range(1, rng.randint(3, 6))]
    return [*lines, Line(f"{_person(rng)}教授", SMALL)]


def _page(rng: Rng) -> list[Line]:
    lines = [Line(rng.choice(words.SUBJECTS), MEDIUM)] if rng.random() < 0.4 else []
    return lines + [
        Line("".join(_sentence(rng) + rng.choice("，。；") for _ in range(2)), SMALL) for _ in range(rng.randint(8, 16))
    ]


def _label(rng: Rng) -> list[Line]:
    if rng.random() < 0.4:
        return [
            Line(rng.choice(words.MEDICINES), LARGE),
            Line("用法用量:口服一日三次", SMALL),
            Line(f"国药准字H{_digits(rng, 8)}", SMALL),
            Line(f"有效期至{rng.randint(2024, 2029)}年{rng.randint(1, 12)}月", SMALL),
        ]
    return [
        Line(f"{rng.choice(words.PRODUCTS)} {rng.choice(('参数', '保修卡', '说明书', '价格标签'))}", LARGE),
        Line(
            f"S/N:{rng.choice('ABCDEFGHKLMNPRSTUVWXYZ')}{rng.choice('ABCDEFGHKLMNPRSTUVWXYZ')}{_digits(rng, 9)}", SMALL
        ),
        Line(f"型号:{rng.choice(words.PRODUCTS)}", SMALL),
        Line(f"制造商:{_company(rng)}", SMALL),
    ]


def _card(rng: Rng) -> list[Line]:
    return [
        Line(_person(rng), LARGE),
        Line(rng.choice(("总经理", "销售经理", "高级工程师", "产品总监", "律师", "主任医师")), MEDIUM),
        Line(_company(rng), MEDIUM),
        Line(f"电话:1{rng.choice('35789')}{_digits(rng, 1)}-{_digits(rng, 4)}-{_digits(rng, 4)}", SMALL),
        Line(f"地址:{rng.choice(words.CITIES)}市{rng.choice(words.STREETS)}{rng.randint(1, 999)}号", SMALL),
    ]


def _english(rng: Rng) -> list[Line]:
    lines = [
        Line(rng.choice(words.ENGLISH_TITLES), LARGE),
        Line(f"No. {rng.choice('ABCDEFGH')}{_digits(rng, 7)}", SMALL),
    ]
    return lines + [
        Line(" ".join(rng.choices(words.ENGLISH, k=rng.randint(3, 7))).capitalize(), SMALL)
        for _ in range(rng.randint(3, 9))
    ]


def _poster(rng: Rng) -> list[Line]:
    year, month, day = _date(rng)
    return [
        Line(
            rng.choice(
                (
                    f"{rng.choice(words.PLACES)}新春灯会",
                    f"{rng.choice(words.CITIES)}国际电影节",
                    f"{rng.choice(words.BRANDS)}周年庆典",
                    "音乐会",
                    "毕业典礼",
                    "全场五折",
                )
            ),
            LARGE,
        ),
        Line(f"{year}.{month}.{day}", MEDIUM),
        Line(_sentence(rng), SMALL),
    ]


KINDS: dict[str, tuple[Maker | None, int, str]] = {
    "plain": (None, 45, ""),
    "invoice": (_invoice, 5, "invoice-paper"),
    "receipt": (_receipt, 6, "receipt-paper"),
    "train ticket": (_train_ticket, 4, "ticket"),
    "menu": (_menu, 4, "menu-board"),
    "sign": (_sign, 9, "sign"),
    "chat": (_chat, 7, "screenshot"),
    "slide": (_slide, 5, "slide"),
    "page": (_page, 3, "book-shelf"),
    "label": (_label, 5, "label"),
    "card": (_card, 2, "label"),
    "english": (_english, 4, "invoice-paper"),
    "poster": (_poster, 1, "concert"),
}
"""Kind of photo to how it is made, its share in percent, and what such photos show."""
