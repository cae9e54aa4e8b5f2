"""Whole visits of people: what an operator's rule is held against before it may say automated.

Only the headers are told. They are what browsers of the autumn of 2026 send: tried in Chromium 156,
else as MDN and public collections of header sets tell. Firefox sends no client hints, Safari no
Sec-Fetch-User besides, and a mail app's view on an iPhone no Sec-Fetch-* at all.
"""

from msgspec.structs import replace

from linkgate.signals import Signals

_PAGES = "text/html,application/xhtml+xml,application/xml;q=0.9"
_BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)"
_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X)"

_CHROME = Signals(
    user_agent=f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_BLINK} Chrome/156.0.0.0 Safari/537.36",
    accept=f"{_PAGES},image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7",
    accept_language="en-US,en;q=0.9",
    accept_encoding="gzip, deflate, br, zstd",
    sec_fetch_site="none",
    sec_fetch_mode="navigate",
    sec_fetch_dest="document",
    sec_fetch_user="?1",
    sec_ch_ua='"Chromium";v="156", "Google Chrome";v="156", "Not/A)Brand";v="8"',
    sec_ch_ua_mobile="?0",
    sec_ch_ua_platform='"Windows"',
)
_FIREFOX = Signals(
    user_agent="Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:157.0) Gecko/20100101 Firefox/157.0",
    accept=f"{_PAGES},*/*;q=0.8",
    accept_language="en-US,en;q=0.5",
    accept_encoding="gzip, deflate, br, zstd",
    sec_fetch_site="none",
    sec_fetch_mode="navigate",
    sec_fetch_dest="document",
    sec_fetch_user="?1",
)
_SAFARI = Signals(
    user_agent=f"{_MAC} {_WEBKIT} Version/26.0 Safari/605.1.15",
    accept=f"{_PAGES},*/*;q=0.8",
    accept_language="en-US,en;q=0.9",
    accept_encoding="gzip, deflate, br",
    sec_fetch_site="none",
    sec_fetch_mode="navigate",
    sec_fetch_dest="document",
)
_BROWSERS = {
    "Chrome": _CHROME,
    "Chrome on a Mac": replace(
        _CHROME,
        user_agent=f"{_MAC} {_BLINK} Chrome/156.0.0.0 Safari/537.36",
        sec_ch_ua_platform='"macOS"',
    ),
    "Chrome on Android": replace(
        _CHROME,
        user_agent=f"Mozilla/5.0 (Linux; Android 10; K) {_BLINK} Chrome/156.0.0.0 Mobile "
        "Safari/537.36",
        sec_ch_ua_mobile="?1",
        sec_ch_ua_platform='"Android"',
    ),
    # From a mailbox in another tab, and with a cookie that the shop set for all of its hosts.
    "Edge": replace(
        _CHROME,
        user_agent=f"{_CHROME.user_agent} Edg/156.0.0.0",
        sec_fetch_site="cross-site",
        sec_ch_ua='"Chromium";v="156", "Microsoft Edge";v="156", "Not/A)Brand";v="8"',
        referer="https://outlook.live.com/",
        cookie="_ga=GA1.1.1700000000.1790000000",
    ),
    "Firefox": _FIREFOX,
    "Firefox on Linux": replace(
        _FIREFOX,
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:157.0) Gecko/20100101 Firefox/157.0",
    ),
    "Safari": _SAFARI,
    "Safari on an iPhone": replace(
        _SAFARI, user_agent=f"{_IPHONE} {_WEBKIT} Version/26.0 Mobile/15E148 Safari/604.1"
    ),
    "a mail app on an iPhone": Signals(
        user_agent=f"{_IPHONE} {_WEBKIT} Mobile/15E148",
        accept=f"{_PAGES},*/*;q=0.8",
        accept_language="en-US,en;q=0.9",
        accept_encoding="gzip, deflate, br",
    ),
    "a mail app on Android": replace(
        _CHROME,
        user_agent="Mozilla/5.0 (Linux; Android 16; Pixel 9 Build/BP2A.250605.031.A2; wv) "
        f"{_BLINK} Version/4.0 Chrome/156.0.7500.50 Mobile Safari/537.36",
        sec_ch_ua='"Chromium";v="156", "Android WebView";v="156", "Not/A)Brand";v="8"',
        sec_ch_ua_mobile="?1",
        sec_ch_ua_platform='"Android"',
        x_requested_with="com.google.android.gm",
    ),
}


def _press(visit: Signals) -> Signals:
    """The press of the interstitial's button, from a page with Referrer-Policy: no-referrer."""
    return replace(
        visit,
        method="POST",
        sec_fetch_site="same-origin" if visit.sec_fetch_site else "",
        origin="null",
        referer="",
        content_type="application/x-www-form-urlencoded",
    )


#: Who comes, with what, once from the mail and once from the interstitial.
SAMPLES: tuple[tuple[str, Signals], ...] = (
    *((f"{name} that opens a link", visit) for name, visit in _BROWSERS.items()),
    *((f"{name} that presses the button", _press(visit)) for name, visit in _BROWSERS.items()),
)

#: What any of these people may send as Accept-Language besides.
LANGUAGES = tuple(
    f"{tag},{tag.partition('-')[0]};q=0.9,en;q=0.8"
    for tag in (
        *("ar-SA", "bg-BG", "bn-BD", "ca-ES", "cs-CZ", "da-DK", "de-DE", "el-GR", "en-GB", "es-ES"),
        *("es-MX", "et-EE", "fa-IR", "fi-FI", "fr-FR", "he-IL", "hi-IN", "hr-HR", "hu-HU", "id-ID"),
        *("it-IT", "ja-JP", "ko-KR", "lt-LT", "lv-LV", "ms-MY", "nb-NO", "nl-NL", "pl-PL", "pt-BR"),
        *("pt-PT", "ro-RO", "ru-RU", "sk-SK", "sl-SI", "sr-RS", "sv-SE", "ta-IN", "th-TH", "tr-TR"),
        *("uk-UA", "ur-PK", "vi-VN", "zh-CN", "zh-TW"),
    )
)
