"""The hard classes: photos planted in a library, so that what is relevant to each query is known by construction.

Each class names a kind of difference between what is typed and what OCR read: several misread photos among right ones,
codes split otherwise, dates in other forms, spaced titles, other characters for the same word. Beside them stand photos
that look like matches and are none: one other word, the day after, a word that two other words only happen to hold.
"""

# ruff: noqa: E501 - tables read best as lines

import random
from collections.abc import Callable, Iterator
from uuid import UUID

from bench.search.corpus import lexicon as words
from bench.search.corpus.kinds import KINDS
from bench.search.corpus.photo import LARGE, MEDIUM, SMALL, Line, Photo
from bench.search.corpus.relevance import Query

SEED = 14
PINYIN = "pinyin"
"""The class that is asked with `pinyin` set."""
PER_CLASS = 12
GRADES = {LARGE: 3, MEDIUM: 2, SMALL: 1}

Rng = random.Random
Planted = tuple[str, list[tuple[str, ...]], list[tuple[str, ...]]]
"""A query, the texts that it should find (lines of one photo each), and those that it should not."""

TRAPS = {
    "车站": (("火车站", "长途车站", "车站候车厅"), ("汽车站点分布", "公交车站点", "停车站稳")),
    "人民": (("人民公园", "中国人民银行", "人民医院"), ("外国人民宿", "当地人民宿", "主人民宿")),
    "学会": (("摄影学会", "数学学会", "学会游泳"), ("大学会议室", "中学会计", "同学会议")),
    "子女": (("独生子女证", "子女教育", "赡养子女"), ("男子女子组", "亲子女装", "电子女表")),
    "公开": (("信息公开栏", "公开招聘", "政务公开"), ("办公开支", "公公开车", "办公开销")),
    "和平": (("和平饭店", "世界和平", "和平公园"), ("温和平静", "缓和平稳", "祥和平安")),
    "国有": (("国有企业", "国有资产", "国有土地"), ("中国有限公司", "法国有名", "全国有效")),
    "上海": (("上海博物馆", "上海地铁", "上海大学"), ("海上海鲜城", "路上海报", "网上海淘")),
    "生活": (("生活超市", "生活用品", "生活广场"), ("学生活动中心", "师生活动", "医生活页")),
    "机场": (("机场巴士", "首都机场", "机场高速"), ("手机场地", "司机场次", "相机场景")),
    "心理": (("心理咨询", "心理健康", "心理学"), ("中心理事会", "爱心理发", "点心理货")),
    "家长": (("家长会", "家长签字", "家长学校"), ("国家长期", "专家长谈", "回家长假")),
}
"""A word, where it is meant, and where two other words only happen to hold it."""

SPELLINGS = [
    ("店铺转让", ("店舖轉讓", "店鋪轉讓", "店铺转让")), ("卫生间", ("衞生間", "衛生間", "卫生间")), ("化妆品", ("化粧品", "化妝品", "化妆品")),
    ("駅前広場", ("駅前広場", "驛前廣場")), ("领収书", ("領収書", "領收書")), ("koeln", ("Köln Dom", "Koeln Messe")),
    ("Müller", ("Mueller GmbH", "Müller AG", "MULLER")), ("strasse", ("Hauptstraße 5", "HAUPTSTRASSE 7", "Bahnhof Straße")),
    ("vouchers", ("Gift Voucher", "vouchers only")), ("كتاب", ("كِتَابٌ", "كتاب", "كـتـاب")), ("٢٠٢٥ ٧٧", ("2025 77", "٢٠٢٥ ٧٧")),
    ("12500", ("CHF 12'500.00", "12,500", "12 500 kr")), ("🍎", ("🍎 3.50", "Obst 🍎🍌")), ("cafés", ("Grand Café", "CAFÉS")),
]  # fmt: skip
"""A query, and other ways to write it."""


UNSEEN = {
    "税": "悦锐", "行": "衍", "驶": "驰", "动": "劫", "产": "严", "体": "休", "检": "捡", "报": "抿", "住": "往", "院": "阮", "出": "屮", "医": "匡",
    "居": "屈", "民": "氏", "簿": "薄", "车": "年", "驾": "驽", "障": "嶂", "卡": "下", "登": "豋", "录": "彔", "通": "诵", "知": "如", "工": "土",
    "资": "贷", "细": "纽", "物": "牧", "气": "乞", "购": "沟", "房": "厉", "险": "捡", "号": "呈", "码": "蚂", "牌": "碑", "运": "迂", "海": "悔",
    "申": "甲", "疫": "疾", "苗": "笛", "病": "疸", "化": "比", "验": "脸", "递": "逸", "修": "偻", "库": "厍", "盘": "盆", "点": "占", "固": "回",
}  # fmt: skip
"""Misreadings that share a part with the character, few of which are in the search's own table."""

DOCUMENTS = "增值税发票 不动产权证书 体检报告单 住院收费票据 出生医学证明 居民户口簿 机动车驾驶证 社会保障卡 录取通知书 工资条明细 物业管理费 燃气缴费单 购房合同书 保险单号码 行李托运单 海关申报单 疫苗接种本 门诊病历册 电子化验单 设备维修工单 仓库出库单 快递运单号 固定资产盘点表".split()  # noqa: SIM905

READINGS = [
    ("fapiao", "发票"), ("jichang", "机场"), ("tushuguan", "图书馆"), ("tingchechang", "停车场"), ("kafeidou", "咖啡豆"), ("huochezhan", "火车站"),
    ("zengzhishui", "增值税"), ("chongqing", "重庆"), ("guangzhou", "广州"), ("caidan", "菜单"), ("xiaoxindihua", "小心地滑"), ("kuaidi", "快递"),
]  # fmt: skip
"""Pinyin, and the word that is meant."""


def plant(photos: list[Photo]) -> list[Query]:
    """Adds the photos of all classes to the library; the queries, judged."""
    rng = random.Random(SEED)
    queries = []
    for kind, make in CLASSES.items():
        for text, wanted, unwanted in make(rng):
            query = Query(text, kind, (text,))
            for lines in wanted:
                size = rng.choice((LARGE, MEDIUM, SMALL))
                query.relevant[len(photos)] = GRADES[size]
                photos.append(_photo(rng, lines, size))
            photos.extend(_photo(rng, lines, LARGE) for lines in unwanted)
            queries.append(query)
    return queries


def _photo(rng: Rng, texts: tuple[str, ...], size: float) -> Photo:
    """A photo that holds the texts, and beside them what photos hold."""
    make = KINDS[rng.choice(("receipt", "menu", "chat", "english", "slide"))][0]
    assert make
    photo = Photo(UUID(int=rng.getrandbits(128), version=4), rng.choice((0, 0, 1)), "planted")
    others = make(rng)[1:5]
    placed = [Line(text, size) for text in texts]
    at = 0 if size == LARGE else rng.randint(0, len(others))
    photo.lines = [*others[:at], *placed, *others[at:]]
    for line in photo.lines:
        line.read, line.confidence = (line.text,), rng.uniform(0.88, 0.999)
    return photo


def _name(rng: Rng) -> str:
    """A name that no other photo of the library holds: 5 to 9 characters."""
    return f"{rng.choice(words.CITIES)}{rng.choice(words.SURNAMES)}{rng.choice(words.GIVEN)}{rng.choice(('记餐厅', '堂药业', '牌手工茶', '氏宗祠', '老字号糕点'))}"


def _misread(rng: Rng, text: str, count: int) -> str:
    """The text with some characters read wrong: as one that looks like it, or as something that is no character."""
    read = list(text)
    for at in rng.sample(range(len(text)), count):
        read[at] = words.CONFUSED.get(text[at]) or rng.choice("丨丿冂彐乛亠冖囗")
    return "".join(read)


def misread_among_right(rng: Rng) -> Iterator[Planted]:
    """Two or three errors among many right ones, and another name that differs by one common character."""
    for _ in range(PER_CLASS):
        name = _name(rng)
        errors = [
            _misread(rng, name, 2 if len(name) >= 8 and rng.random() < 0.4 else 1) for _ in range(rng.randint(3, 12))
        ]
        right = [name] * rng.randint(1, 8)
        at = rng.randrange(2, len(name))
        other = name[:at] + rng.choice("的是在有我他这中来上") + name[at + 1 :]
        yield name, [(text,) for text in [*right, *errors]], [(other,)]


def split_codes(rng: Rng) -> Iterator[Planted]:
    """Telephone numbers, serial numbers, flights and products with their spaces elsewhere, or over two lines."""

    def digits(count: int) -> str:
        return "".join(rng.choice("0123456789") for _ in range(count))

    def letters(count: int) -> str:
        return "".join(rng.choice("ABCDEFGHJKMNPRTUVWX") for _ in range(count))

    for number in range(PER_CLASS):
        match number % 4:
            case 0:
                a, b, c = f"1{rng.choice('3578')}{digits(1)}", digits(4), digits(4)
                forms = [f"{a}{b}{c}", f"{a} {b} {c}", f"{a}-{b}-{c}", f"电话:{a}{b} {c}"]
                wanted = [*((form,) for form in forms[1:]), (f"{a}{b}", c)]
                yield forms[0], wanted, [(f"{a}{b}{int(c[0]) ^ 1}{c[1:]}",)]
            case 1:
                a, b = letters(2), digits(4)
                yield f"{a}{b}", [(f"{a} {b}",), (f"Flight {a} {b}",), (f"{a}-{b}",)], [(f"{a} {int(b) ^ 1:04}",)]
            case 2:
                a, b = letters(4), digits(3) + letters(2)
                yield f"{a} {b}", [(f"{a}{b}",), (f"S/N:{a}{b}",), (f"{a}-{b}",)], [(f"{a}",)]
            case _:
                tail = letters(2) + digits(3)
                yield (
                    tail,
                    [(f"SN {digits(2)}CD{digits(4)}{tail}",), (f"No.{tail}",)],
                    [(f"{tail[:-1]}{int(tail[-1]) ^ 1}",)],
                )


def dates(rng: Rng) -> Iterator[Planted]:
    """One day in all forms; the day after in one."""
    for _ in range(PER_CLASS):
        y, m, d = rng.randint(1991, 2009), rng.randint(1, 9), rng.randint(13, 27)
        month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep")[m - 1]
        forms = [
            f"{y}年{m:02}月{d:02}日", f"{y}年{m}月{d}日", f"{y}-{m:02}-{d:02}", f"{y}/{m}/{d}", f"{d:02}.{m:02}.{y}", f"{y}.{m:02}.{d:02}",
            f"{d} {month} {y}", f"开票日期:{y}年{m:02}月{d:02}日",
        ]  # fmt: skip
        asked = rng.choice(forms[:7])
        yield asked, [(form,) for form in forms], [(f"{y}-{m:02}-{d + 1:02}",), (f"{y + 1}年{m}月{d}日",)]


def spaced_titles(rng: Rng) -> Iterator[Planted]:
    """Titles with their characters set apart, or one on each line."""
    for _ in range(PER_CLASS):
        title = (
            rng.choice(words.SURNAMES)
            + rng.choice(words.GIVEN)
            + rng.choice(("荣誉证书", "聘书", "毕业证", "营业执照", "收款收据"))
        )
        half = len(title) // 2
        spaced = [(" ".join(title),), ("  ".join(title),), tuple(title), (title,), (f"{title[:half]} {title[half:]}",)]
        yield title, spaced, [(title[::-1],)]


def trap_words(rng: Rng) -> Iterator[Planted]:
    """A word of two characters in small letters, and in large ones where it is none."""
    for word, (meant, not_meant) in TRAPS.items():
        yield word, [(f"{text}",) for text in meant * 4], [(text,) for text in not_meant * 4]


def spellings(rng: Rng) -> Iterator[Planted]:
    """The same word in other characters, with or without marks, in the plural."""
    for query, forms in SPELLINGS:
        yield query, [(form,) for form in forms], []


def unseen_misreadings(rng: Rng) -> Iterator[Planted]:
    """Names of documents among misreadings of them that share a part with the right character."""
    for name in DOCUMENTS:
        places = [at for at, letter in enumerate(name) if letter in UNSEEN]
        errors = []
        for _ in range(rng.randint(3, 9)):
            at = rng.choice(places)
            errors.append(name[:at] + rng.choice(UNSEEN[name[at]]) + name[at + 1 :])
        yield name, [(text,) for text in [*[name] * rng.randint(2, 5), *errors]], []


def readings(rng: Rng) -> Iterator[Planted]:
    """Words typed in pinyin."""
    for typed, word in READINGS:
        yield typed, [(f"{word}{rng.randint(10, 99)}",) for _ in range(6)], []


CLASSES: dict[str, Callable[[Rng], Iterator[Planted]]] = {
    "misread among right": misread_among_right,
    "split codes": split_codes,
    "dates": dates,
    "spaced titles": spaced_titles,
    "trap words": trap_words,
    "spellings": spellings,
    "unseen misreadings": unseen_misreadings,
    PINYIN: readings,
}
