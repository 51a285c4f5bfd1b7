"""The year before a store's opening catalogue: its orders and customers, and what customers wrote.

Each order follows from its number alone, so a store that gets more of them keeps those it has.
"""

import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache

from clawver_sandbox.catalogue import Customer, Sale, Wire, chance, products, stamp

_MINUTES_AGO = range(60 * 1440, 365 * 1440)

_PEOPLE = (  # given names, family names, what is written between them, whether the family comes first; city, country
    (
        ("Jürgen", "Käthe", "Björn", "Anaïs", "Ståle", "Íñigo", "Zsófia", "Łucja", "Ana", "Piet"),
        ("Müller", "Weiß", "Núñez", "Łuczak", "Ångström", "Ørsted", "O'Neil", "Šimić", "Dvořák", "Ng"),
        (" ", False),
        ("Köln", "DE"),
    ),
    (
        ("伟", "芳", "秀英", "娜", "敏", "静", "丽", "强", "磊", "洋"),
        ("王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴"),
        ("", True),
        ("上海", "CN"),
    ),
    (
        ("遥", "葵", "陽翔", "結衣", "蓮", "さくら", "大和", "凛", "ハナ", "健"),
        ("佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村", "小林", "森"),
        (" ", True),
        ("大阪", "JP"),
    ),
    (
        ("민준", "서연", "도윤", "하은", "지호", "수아", "준서", "지우", "현우", "유진"),
        ("김", "이", "박", "최", "정", "강", "조", "윤", "장", "임"),
        ("", True),
        ("서울", "KR"),
    ),
    (
        ("Олена", "Тимур", "Юлія", "Андрій", "Оксана", "Богдан", "Ірина", "Марко", "Соломія", "Лев"),
        ("Коваль", "Шевченко", "Бондар", "Мельник", "Ткаченко", "Лис", "Гнатюк", "Їжак", "Поліщук", "Рудь"),
        (" ", False),
        ("Київ", "UA"),
    ),
    (
        ("สมชาย", "สมหญิง", "อนันต์", "มาลี", "วิชัย", "นภา", "ปิติ", "ชูใจ", "มานะ", "แก้ว"),
        ("ใจดี", "สุขใจ", "ทองดี", "ศรีสุข", "แสงจันทร์", "บุญมา", "รักไทย", "พงษ์", "วงศ์", "ดำ"),
        (" ", False),
        ("กรุงเทพฯ", "TH"),
    ),
)  # fmt: skip
_WORDS = (
    (5, "Lovely", "Exactly what I hoped for. Merci beaucoup!"),
    (5, "", "很好,谢谢。"),
    (4, "Good", "Took a while to arrive, but worth it."),
    (3, "", "The colour is paler than in the picture."),
    (1, "Broken", "The seam came apart after two days and nobody answered me."),
)


@cache
def customers() -> tuple[Customer, ...]:
    """Six hundred people, with names in six scripts."""
    found: list[Customer] = []
    for given, families, (between, is_family_first), (city, country) in _PEOPLE:
        for one in given:
            for family in families:
                parts = (family, one) if is_family_first else (one, family)
                number = len(found) + 1
                found.append(
                    Customer(
                        f"buyer{number:03d}@example.com",
                        between.join(parts),
                        f"{number} Harbor Way",
                        city,
                        "",
                        f"{10_000 + number}",
                        country,
                    )
                )
    return tuple(found)


def past_sales(now: datetime, seed: int, numbers: Iterable[int]) -> Iterator[Sale]:
    """Orders of the year before the opening catalogue's, sixty days and more ago.

    Args:
        now: The moment from which their dates count back.
        seed: Which store it is.
        numbers: One order for each; the same number is the same order.
    """
    goods = products()
    for number in numbers:
        # Chance only has to look lively and be the same every time.
        dice = random.Random(f"{seed}/{number}")  # noqa: S311
        yield chance(dice, goods, now, _MINUTES_AGO, customers())


def review_of(order: Wire, now: datetime) -> Wire | None:
    """What the customer of an order wrote about it; None where they wrote nothing."""
    dice = random.Random(order["id"])  # noqa: S311
    written = datetime.fromisoformat(order["createdAt"]) + timedelta(days=9)
    if order["status"] != "delivered" or written > now or dice.random() >= 0.2:
        return None
    stem = order["id"].removeprefix("ord_")
    rating, title, body = dice.choice(_WORDS)
    address = order["shippingAddress"] or {}
    answered = {"body": "Thank you!", "createdAt": stamp(written + timedelta(days=1))}
    return {
        "id": f"rev_{stem}",
        "orderId": order["id"],
        "productId": order["items"][0]["productId"],
        "rating": rating,
        **({"title": title} if title else {}),
        "body": body,
        "reviewerName": address.get("name", order["customerEmail"].partition("@")[0]),
        "reviewerEmail": order["customerEmail"],
        "createdAt": stamp(written),
        "updatedAt": stamp(written),
        **({"response": answered} if rating == 5 and written + timedelta(days=1) <= now else {}),
    }
