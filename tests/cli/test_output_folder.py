"""The output folder is probed before anything is computed."""

from concurrent.futures import ThreadPoolExecutor

from backend.cli.options import make_folder


def test_two_commands_may_probe_one_folder_at_once(tmp_path):
    with ThreadPoolExecutor(8) as several:
        for probed in [several.submit(make_folder, tmp_path / "shared") for _ in range(800)]:
            probed.result()
    assert not any((tmp_path / "shared").iterdir())
