"""Every promise of the security page has a test that shows it."""

import re
from pathlib import Path

import pytest
from tests.documents.test_references import section, table
from tests.test_threats import missing

from clawver_orders.setting_names import VARIABLES

PAGE = (Path(__file__).parents[2] / "SECURITY.md").read_text("utf-8")
SHOWN_BY = {
    "your money": (
        ("tests/refunds/test_races.py", "test_two_servers_asked_for_the_same_refund_at_once_send_it_once"),
        ("tests/refunds/test_refunding.py", "test_the_limit_of_one_refund_can_be_reached_and_not_passed"),
        ("tests/refunds/test_refunding.py", "test_the_limit_of_a_day_can_be_reached_and_not_passed"),
    ),
    "your approval": (
        ("tests/refunds/test_grades.py", "test_only_what_proves_enough_lets_the_money_go"),
        ("tests/refunds/test_grades.py", "test_above_the_limit_nothing_but_the_pin_counts"),
    ),
    "the store's key": (
        ("tests/clawver/test_transport.py", "test_the_key_travels_on_owner_calls_and_never_with_a_customers_token"),
        ("tests/clawver/test_transport.py", "test_a_redirect_takes_neither_the_key_nor_the_request"),
        ("tests/test_logs.py", "test_keys_and_tokens_are_masked"),
        ("tests/documents/test_running.py", "test_the_files_of_a_store_are_those_that_are_made"),
    ),
    "the refund ledger": (
        ("tests/storage/test_sqlite.py", "test_what_others_can_write_is_refused"),
        ("tests/refunds/test_damage.py", "test_a_server_that_finds_a_damaged_ledger_lets_no_money_go"),
    ),
    "the PIN": (
        ("tests/storage/test_pin.py", "test_it_is_kept_for_this_user_alone_and_not_as_it_was_typed"),
        ("tests/storage/test_pin.py", "test_each_lock_lasts_twice_as_long_up_to_a_day"),
    ),
    "the page in the browser": (
        ("tests/web/test_page.py", "test_nothing_but_the_sign_in_is_served_to_strangers"),
        ("tests/web/test_page.py", "test_a_form_of_another_page_does_nothing"),
        ("tests/web/test_page.py", "test_another_host_name_is_not_answered"),
        ("tests/web/test_page.py", "test_texts_of_others_are_shown_as_text"),
    ),
    "`serve --http`": (
        ("tests/serving/http/test_run.py", "test_a_page_elsewhere_reaches_nothing"),
        ("tests/serving/http/test_run.py", "test_without_a_token_it_is_read_only_and_says_why"),
        ("tests/serving/http/test_run.py", "test_it_does_not_start_where_others_could_reach_it_unprotected"),
    ),
    "received events": (
        ("tests/webhooks/test_signature.py", "test_a_signature_is_the_one_that_openssl_makes"),
        ("tests/webhooks/test_receiver.py", "test_a_genuine_delivery_is_taken_and_a_repeat_is_too"),
    ),
    "where events go": (
        ("tests/tools/test_webhooks.py", "test_a_host_that_nobody_named_gets_nothing_and_the_line_to_add_is_said"),
        ("tests/tools/test_webhook_approvals.py", "test_a_host_that_cannot_ask"),
    ),
    "customers' details": (
        ("tests/tools/test_tools.py", "test_masked_answers_name_no_customer"),
        ("tests/documents/test_running.py", "test_the_files_of_a_store_are_those_that_are_made"),
        ("tests/webhooks/test_inbox.py", "test_what_is_too_old_goes_and_leaves_nothing_on_the_disk"),
    ),
    "the agent": (
        ("tests/tools/test_tools.py", "test_the_hostile_order_makes_no_tool_do_more_than_it_was_asked"),
        ("tests/test_text.py", "test_what_hides_or_moves_text_is_gone"),
    ),
}  # fmt: skip


def test_each_row_is_shown_by_tests_that_exist() -> None:
    rows = table(section(PAGE, "What protects what"))

    assert [row[0] for row in rows] == list(SHOWN_BY)
    assert all(len(row) == 3 and all(row) for row in rows)
    assert missing({check for checks in SHOWN_BY.values() for check in checks}) == set()


def test_only_settings_that_exist_are_named() -> None:
    assert set(re.findall(r"\bCLAW[A-Z]*_[A-Z_]+\b", PAGE)) <= set(VARIABLES.values())


@pytest.mark.parametrize("said", ["independent of Clawver", "Please open no public issue"])
def test_whoever_reports_is_told_where(said: str) -> None:
    assert said in section(PAGE, "Report a problem")
