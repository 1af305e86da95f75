"""A thread for one task after the other."""

import os
import threading

import pytest

from jupyter_dpsynth.engine.training.beside import Beside


def test_tasks_are_done_in_one_other_thread_in_turn():
    beside = Beside()
    found = [beside.begin(threading.get_ident)() for _ in range(3)]
    assert len(set(found)) == 1
    assert found[0] != threading.get_ident()


def test_what_a_task_raises_is_raised_where_its_result_is_taken():
    beside = Beside()
    result = beside.begin(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        result()
    assert beside.begin(lambda: "next")() == "next"


def test_a_result_that_nobody_took_is_not_the_next_ones():
    beside = Beside()
    beside.begin(lambda: "left behind")
    assert beside.begin(lambda: "taken")() == "taken"


def test_the_thread_ends_with_its_object():
    beside = Beside()
    thread = beside.begin(threading.current_thread)()
    del beside
    thread.join(timeout=20)
    assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_a_thread_of_its_own():
    beside = Beside()
    beside.begin(os.getpid)()
    child = os.fork()
    if child == 0:
        os._exit(0 if beside.begin(os.getpid)() == os.getpid() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
