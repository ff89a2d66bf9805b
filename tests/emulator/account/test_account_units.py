"""Unit tests of nonces, sessions, permits, balances and the leaderboard, with an artificial clock."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sogni.emulator.account.accounts import InsufficientFundsError, make_account
from sogni.emulator.account.records import ranking
from sogni.emulator.account.sessions import COOKIE, COOKIE_LIFETIME, LIFETIME, Accounts, Pending, Sessions, TokenMint
from sogni.emulator.account.wallets import Permits

ADDRESS = "0x28578Fb373d3E2a2431cd7e2eCCed24a0eDE234E"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_nonce_waits_for_ten_minutes() -> None:
    clock = Clock()
    nonces: Pending[str] = Pending(clock)
    nonce = nonces.issue("a", LIFETIME, ADDRESS)
    assert nonces.waiting(ADDRESS) == [nonce]
    clock.now += LIFETIME
    assert nonces.waiting(ADDRESS) == []


def test_an_address_holds_a_handful_of_nonces_each_spent_once() -> None:
    nonces: Pending[int] = Pending(Clock())
    issued = [nonces.issue(number, LIFETIME, ADDRESS) for number in range(20)]
    assert nonces.waiting(ADDRESS) == list(reversed(issued))[:8]
    assert [nonces.spend(nonce, ADDRESS) for nonce in (issued[-1], issued[-1], issued[0])] == [True, False, False]


def test_a_remembered_cookie_ends_after_a_month() -> None:
    clock = Clock()
    sessions: Sessions[str] = Sessions(clock=clock)
    session, _ = sessions.open("somebody", ADDRESS)
    header = f"theme=dark; {COOKIE}={session.cookie}"
    assert sessions.of_cookies(header) is session
    clock.now += COOKIE_LIFETIME
    assert sessions.of_cookies(header) is None


def test_a_token_is_good_up_to_the_second_it_names() -> None:
    clock = Clock()
    sessions: Sessions[str] = Sessions(clock=clock, access_lifetime=10)
    session, pair = sessions.open("somebody", ADDRESS)
    clock.now += 9.5
    assert sessions.of_token(pair.token) is session
    clock.now += 0.5
    assert sessions.of_token(pair.token) is None


def test_a_mint_reads_only_what_it_made() -> None:
    mint = TokenMint()
    token = mint.make({"exp": 1})
    assert mint.read(token) == {"exp": 1}
    assert [mint.read(other) for other in (token + "A", token[:-1], "", "..", TokenMint().make({"exp": 1}))] == [
        None
    ] * 5


def test_tokens_and_sessions_are_not_in_a_repr() -> None:
    sessions: Sessions[str] = Sessions(clock=Clock())
    session, pair = sessions.open("somebody", ADDRESS)
    told = repr([sessions, session, pair])
    assert not [secret for secret in (session.cookie, session.id, pair.token, pair.refresh_token) if secret in told]


def test_a_permit_waits_until_its_deadline_for_the_chain_it_names() -> None:
    clock = Clock()
    permits = Permits(clock, testnet=True)
    permit = permits.withdrawal(ADDRESS, "etherlink", "5")
    assert permit["domain"]["chainId"] == 128123
    assert permits.waiting("withdraw", ADDRESS, "base", "5") == []
    clock.now = permit["message"]["deadline"]
    assert permits.waiting("withdraw", ADDRESS, "etherlink", "5") == []
    older, newer = (permits.approval(ADDRESS, "base", "staker") for _ in range(2))
    key = ("approve", ADDRESS, "base", "staker")
    assert permits.waiting(*key) == [newer, older]
    assert [permits.spend(older, *key), permits.spend(older, *key), permits.spend(newer, *key)] == [True, False, True]


def test_no_more_than_the_balance_moves() -> None:
    account = make_account(sogni="1.5")
    with pytest.raises(InsufficientFundsError, match=r"2 sogni are needed, the account has 1\.5"):
        account.funds.move("sogni", Decimal(-2), description="", source="")
    assert account.ledger.newest_first() == []
    assert account.wallet.move("base", Decimal(-1)) is False


def test_a_project_that_cost_nothing_is_no_transaction() -> None:
    account = make_account()
    account.funds.reserve("spark", Decimal(4))
    account.funds.settle("spark", Decimal(4), Decimal(0))
    assert account.ledger.newest_first() == []


@pytest.mark.parametrize(
    ("board", "period", "value"),
    [
        ("renderTokenCompleteArtist", "lifetime", "4"),
        ("renderTokenCompleteArtist2", "lifetime", "7"),
        ("renderTokenCompleteArtist2", "day", "5"),
        ("projectCompleteArtist", "lifetime", "3"),
        ("tokenVolume", "lifetime", "21"),
    ],
)
def test_the_leaderboard_counts_what_accounts_did(board: str, period: str, value: str) -> None:
    clock = Clock()
    account = make_account(clock=clock)
    account.funds.settle("spark", Decimal(0), Decimal(2))
    clock.now += 2 * 24 * 3600
    account.funds.settle("spark", Decimal(0), Decimal(5))
    account.funds.settle("sogni", Decimal(0), Decimal(4))
    account.funds.move("spark", Decimal(10), description="gift", source="gift")
    rows = ranking([account], board, period, "all", clock.now)
    assert [row["value"] for row in rows if row["username"] == account.username] == [value]


def test_inactive_accounts_are_not_on_the_leaderboard() -> None:
    account = make_account()
    rows = ranking([account], "referral", "day", "all", 0.0)
    assert account.username not in [row["username"] for row in rows]


def test_a_key_is_compared_whole() -> None:
    accounts = Accounts()
    account = accounts.add(make_account(api_key="key"))
    assert accounts.identify({"api-key": "key"}) is account
    assert [accounts.identify({"api-key": key}) for key in ("", "ke", "keyy", "k\udce9y")] == [None] * 4
    assert accounts.identify({}) is None


def test_an_account_without_a_key_has_none_to_guess() -> None:
    accounts = Accounts()
    accounts.create(username="second", email="second@example.test", wallet_address=ADDRESS)
    assert accounts.identify({"api-key": ""}) is None
