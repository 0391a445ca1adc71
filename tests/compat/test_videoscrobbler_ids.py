"""Remote ids in their canonical form, signatures, and answers as XML: without a server."""

from __future__ import annotations

import hashlib
from xml.etree.ElementTree import fromstring

import orjson
import pylast
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.compat.videoscrobbler import remote_ids, responses, signature
from webhook.compat.videoscrobbler.remote_ids import Improper, canonical, parse_remote_id
from webhook.domain.event import Episode, Ids, Movie

SECRET = "c" * 32
WATCH = "https://www.youtube.com/watch?v=Kx-78v6WLN8"


# --- addresses


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("http://vimeo.com/12850662", "http://vimeo.com/12850662"),
        ("HTTP://Vimeo.COM/12850662#t=3", "http://vimeo.com/12850662"),
        ("https://example.org", "https://example.org/"),
        ("https://example.org:443/a?utm_source=x&b=1&fbclid=2&UTM_Medium=z", "https://example.org/a?b=1"),
        ("http://example.org:8080/A?b=&a=2", "http://example.org:8080/A?b=&a=2"),
        ("https://example.org/é?q=ü", "https://example.org/%C3%A9?q=%C3%BC"),
        ("https://example.org/%C3%A9", "https://example.org/%C3%A9"),
        ("http://[2001:DB8::1]:80/x", "http://[2001:db8::1]/x"),
        ("http://www.youtube.com/watch?v=Kx-78v6WLN8&feature=related&list=PL1", WATCH),
        ("https://youtu.be/Kx-78v6WLN8?t=10", WATCH),
        ("https://www.youtube-nocookie.com/embed/Kx-78v6WLN8/?rel=0", WATCH),
        ("https://www.youtube.com/shorts/Kx-78v6WLN8", WATCH),
        ("https://www.youtube.com/@someone?si=x", "https://www.youtube.com/@someone"),
        ("https://www.youtube.com/watch?list=PL1", "https://www.youtube.com/watch?list=PL1"),
        ("https://notyoutube.com/watch?v=Kx-78v6WLN8&si=1", "https://notyoutube.com/watch?v=Kx-78v6WLN8"),
    ],
)
def test_an_address_is_made_canonical(written: str, address: str) -> None:
    assert canonical(written) == address
    assert canonical(address) == address


@given(st.text(max_size=60), st.sampled_from(["http://example.org/", "https://youtu.be/", "http://", ""]))
def test_any_text_is_an_address_or_improper_and_stays_so(text: str, opening: str) -> None:
    try:
        first = canonical(opening + text)
    except Improper:
        return

    assert canonical(first) == first
    assert len(first) <= remote_ids.MAX_ADDRESS
    assert "#" not in first


@pytest.mark.parametrize(
    "written", ["", "x", "tvdb:", "tvdb:-1", "tvdb:0", "tmdb:1e3", "tvdb:٣", "TVDB:3", "http://a b/", "http://:80/",
                "http://example.org:99999999/", "http://a@example.org/", "http://[::1/", "javascript:alert(1)"]
)  # fmt: skip
def test_what_is_no_remote_id_is_said_so(written: str) -> None:
    with pytest.raises(Improper):
        parse_remote_id(written)


def test_an_episode_and_a_film_are_known_as_their_plays_are() -> None:
    assert parse_remote_id("tvdb:2345").item == Episode(ids=Ids(tvdb=2345))
    assert parse_remote_id("tmdb:3456").item == Movie(ids=Ids(tmdb=3456))
    assert parse_remote_id("tvdb:2345").keys == ("episode:tvdb:2345",)
    assert parse_remote_id("tmdb:3456").keys == ("movie:tmdb:3456",)


def test_long_addresses_that_begin_alike_are_not_one_video() -> None:
    one, other = (parse_remote_id(f"https://example.org/{'x' * 400}{end}") for end in "ab")

    assert set(one.keys).isdisjoint(other.keys)
    assert all(len(key) < 300 for key in one.keys)


# --- signatures

PARAMS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=10), st.text(st.characters(codec="utf-8"), max_size=20)
)


@given(PARAMS)
def test_every_signature_of_pylast_fits(params: dict[str, str]) -> None:
    """pylast is a client of Last.fm, whose way of signing this is."""
    network = pylast.LastFMNetwork(api_key="a" * 32, api_secret=SECRET)
    mine = {name: value for name, value in params.items() if name not in signature.UNSIGNED}
    request = pylast._Request(network, "video.love", mine)
    request.sign_it()

    assert signature.is_valid(request.params, SECRET)
    assert signature.is_valid({**request.params, "format": "json", "callback": "x"}, SECRET)
    assert not signature.is_valid(request.params, SECRET[:-1] + "d")


@given(PARAMS, st.data())
def test_no_signature_fits_other_parameters(params: dict[str, str], data: st.DataObject) -> None:
    signed = {**params, "api_sig": signature.signature(params, SECRET)}
    name = data.draw(st.sampled_from(sorted({"sk", *params} - signature.UNSIGNED)))
    value = data.draw(st.text(st.characters(codec="utf-8"), min_size=1))

    assert signature.is_valid(signed, SECRET)
    if signed.get(name, "") != value:
        assert not signature.is_valid({**signed, name: value}, SECRET)


@pytest.mark.parametrize("given", ["", "x", "0" * 32, "ü" * 32, None])
def test_a_signature_that_is_none_does_not_fit(given: str | None) -> None:
    params = {"method": "auth.getToken"} | ({} if given is None else {"api_sig": given})

    assert not signature.is_valid(params, SECRET)


def test_a_signature_as_the_description_has_it() -> None:
    text = "api_keyxxxxxxxxmethodauth.getSessiontokenyyyyyymysecret"

    found = signature.signature(
        {"token": "yyyyyy", "method": "auth.getSession", "api_key": "xxxxxxxx", "format": "json"}, "mysecret"
    )

    assert found == hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


# --- answers


@given(st.text(), st.text())
def test_any_text_comes_through_xml(title: str, origin: str) -> None:
    answer = responses.success({"user": title, "videos": [{"origin": origin}]}, as_json=False)

    root = fromstring(bytes(answer.body))  # noqa: S314 - our own answer

    sayable = responses.INVALID_XML.sub("", title).replace("\r\n", "\n").replace("\r", "\n")
    assert (root.findtext("user") or "") == sayable
    assert root.find("videos/video/origin") is not None


@pytest.mark.parametrize("code", sorted(responses.ERRORS))
def test_every_error_has_its_status_in_both_formats(code: int) -> None:
    fault = responses.Fault(code, "<why>", Retry_After="3")

    as_json, as_xml = responses.failure(fault, as_json=True), responses.failure(fault, as_json=False)

    assert as_json.status_code == as_xml.status_code == responses.ERRORS[code][0]
    assert as_json.headers["retry-after"] == as_xml.headers["retry-after"] == "3"
    assert orjson.loads(as_json.body) == {"error": code, "message": f"{responses.ERRORS[code][1]}: <why>"}
    error = fromstring(bytes(as_xml.body)).find("error")  # noqa: S314
    assert error is not None
    assert (error.get("code"), error.text) == (str(code), f"{responses.ERRORS[code][1]}: <why>")
