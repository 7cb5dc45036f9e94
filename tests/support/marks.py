"""Marks that tests get by what they need: see the markers in pyproject.toml.

`pytest -m "not slow and not browser"` is the quick loop. A test is slow if it takes several seconds of a
processor with kernels compiled beforehand, or if it starts servers or other processes.
"""

from __future__ import annotations

import pytest

SLOW = (
    "tests/app/test_api.py",
    "tests/app/test_interrupted_server.py",
    "tests/app/test_operation.py",
    "tests/app/test_prompt_jobs.py",
    "tests/app/test_queue.py",
    "tests/app/test_security.py",
    "tests/app/test_server.py",
    "tests/app/test_zerogpu.py",
    "tests/bench/test_bench.py::test_several_processes_give_the_same_numbers",
    "tests/benchmarks/test_bench4d.py",
    "tests/benchmarks/test_guard.py::test_unseen_views_are_no_worse_than_the_committed_figures",
    "tests/benchmarks/test_embedded_only.py",
    "tests/test_examples.py",
    "tests/test_runs.py",
    "tests/train/test_breeds.py",
    "tests/train/test_calibration.py",
    "tests/train/test_evaluate_holdout.py",
    "tests/train/test_people.py",
    "tests/train/test_point_cloud_dataset.py",
    "tests/train/test_shapes.py",
    "tests/train/test_star.py::test_both_networks_train_resume_and_become_a_weights_file",
    "tests/train/test_train.py",
    "tests/cli/test_batch.py::test_a_batch_lifts_as_single_runs_do_and_goes_on",
    "tests/cli/test_batch.py::test_a_killed_worker_costs_no_finished_frame",
    "tests/cli/test_cli.py::test_ctrl_c_keeps_what_is_done_and_resume_goes_on",
    "tests/cli/test_cli.py::test_replay_gives_the_same_asset",
    "tests/cli/test_cli.py::test_replay_takes_changes",
    "tests/engines/ar4d/test_refine.py::test_the_depth_term_holds_the_geometry",
    "tests/engines/ar4d/test_scenes.py::test_the_tiny_network_goes_the_whole_way",
    "tests/experts/embedded/test_embedded.py::test_other_views_improve_the_sides",
    "tests/experts/embedded/test_embedded.py::test_thin_and_tiny_things",
    "tests/experts/embedded/test_symmetry.py::test_a_sample_keeps_its_plane_when_it_is_turned_and_mirrored",
    "tests/experts/test_depth.py::test_the_published_layout_loads_and_measures",
    "tests/experts/test_imagedream.py::test_the_chain_lifts_a_picture",
    "tests/experts/test_lgm.py::test_views_of_one_object_meet_and_objects_do_not",
    "tests/experts/test_memory.py::test_imagedream_and_lgm_take_less_than_10_gb_even_if_all_is_loaded_at_once",
    "tests/experts/test_memory.py::test_what_is_written_down_of_wan_is_what_its_shapes_give",
    "tests/experts/test_wan.py::test_no_memory_at_all_is_a_sentence",
    "tests/experts/test_wan.py::test_the_smallest_way_makes_smaller_pictures",
    "tests/formats/test_registry.py::test_a_broken_entry_point_costs_only_its_own_format",
    "tests/formats/test_registry.py::test_an_entry_point_appears_in_the_command_line",
    "tests/imagine/test_imagine.py::test_a_tiny_wan_goes_the_whole_way",
    "tests/player/test_page.py::test_the_example_with_its_input_video_is_at_most_two_and_a_half_megabytes",
    "tests/rendering/test_rendering.py::test_same_bits_from_kernels_just_compiled_and_from_the_cache",
    "tests/test_api.py::test_a_clip_becomes_an_asset_in_one_call",
    "tests/weights/test_checkpoints.py::test_the_hub_cache_serves_without_a_network",
)
"""Files, and tests by their name without parameters."""

THOROUGH = (
    "tests/app/test_interrupted_server.py",
    "tests/app/test_page_accessibility.py",
    "tests/app/test_page_cutout.py::test_clicks_correct_the_cut_out_and_are_undone[size1-dark]",
    "tests/app/test_page_cutout.py::test_clicks_correct_the_cut_out_and_are_undone[size2-light]",
    "tests/app/test_page_cutout.py::test_clicks_correct_the_cut_out_and_are_undone[size3-dark]",
    "tests/app/test_page_cutout.py::test_corrections_are_stored_with_the_run_and_in_its_command",
    "tests/app/test_page_cutout.py::test_views_from_other_sides_are_added_and_removed",
    "tests/app/test_result.py::test_a_box_is_drawn_by_the_keyboard",
    "tests/app/test_result.py::test_a_cancelled_export_leaves_no_file",
    "tests/app/test_result.py::test_a_narrow_dark_page_has_everything_in_reach",
    "tests/app/test_result.py::test_pictures_follow_the_viewer_and_are_enlarged",
    "tests/app/test_result.py::test_the_cameras_own_path",
    "tests/app/test_result.py::test_what_cannot_be_made_is_one_sentence_in_its_card",
    "tests/cli/test_batch.py::test_a_killed_worker_costs_no_finished_frame",
    "tests/formats/test_foreign_readers.py::test_adobes_spz_reads_both_versions",
    "tests/player/test_page.py::test_the_example_with_its_input_video_is_at_most_two_and_a_half_megabytes",
    "tests/player/test_player_browser.py::test_fits_and_has_large_targets_on_a_phone[size0-dark]",
    "tests/player/test_player_browser.py::test_fits_and_has_large_targets_on_a_phone[size1-light]",
    "tests/player/test_player_browser.py::test_no_serious_finding_of_accessibility[size0-dark]",
    "tests/player/test_player_browser.py::test_no_serious_finding_of_accessibility[size1-light]",
    "tests/test_runs.py::test_a_stopped_run_with_a_canonical_frame_resumes_to_the_same_result[1]",
    "tests/test_runs.py::test_a_stopped_run_with_a_canonical_frame_resumes_to_the_same_result[2]",
    "tests/test_wheel.py::test_the_command_lifts_a_clip_with_the_embedded_expert",
    "tests/cluster/test_ray.py",
    "tests/bench/test_on_ray.py",
    "tests/bench/test_make.py::test_other_processors_give_the_same_bits",
    "tests/benchmarks/test_embedded_only.py",
    "tests/train/test_breeds.py",
    "tests/train/test_calibration.py",
    "tests/train/test_evaluate_holdout.py",
    "tests/train/test_people.py",
    "tests/train/test_shapes.py",
    "tests/train/test_star.py::test_the_ablation_writes_a_table_and_goes_on",
    "tests/train/test_train.py",
    "tests/test_examples.py::test_an_example_runs[02_watch_progress]",
    "tests/test_examples.py::test_an_example_runs[05_resume_a_run]",
    "tests/test_examples.py::test_an_example_runs[06_change_settings]",
    "tests/test_examples.py::test_an_example_runs[07_custom_expert]",
    "tests/experts/embedded/test_embedded.py::test_other_views_improve_the_sides",
    "tests/experts/embedded/test_embedded.py::test_thin_and_tiny_things",
    "tests/experts/sv4d2/test_expert.py::test_what_is_written_down_of_the_memory_is_what_the_shapes_give",
    "tests/experts/test_memory.py::test_what_is_written_down_of_wan_is_what_its_shapes_give",
    "tests/formats/test_registry.py::test_a_broken_entry_point_costs_only_its_own_format",
    "tests/formats/test_registry.py::test_an_entry_point_appears_in_the_command_line",
    "tests/rendering/test_rendering.py::test_same_bits_from_kernels_just_compiled_and_from_the_cache",
)
"""Tests of minutes, for parts that change seldom: `pytest -m thorough` runs them, a plain one does not."""

NEEDS = {"hromium": "browser", "CUDA": "gpu", "AR4D_GOLDEN": "golden"}
"""Words in the reason for which a test is skipped where it cannot run, and the mark that they mean."""


def add_marks(items: list[pytest.Item]) -> None:
    """Marks the collected tests and puts the files with slow ones first.

    A worker takes a file at a time: one of minutes, taken last, would keep a single worker busy at the end.
    """
    for item in items:
        place = item.nodeid.partition("[")[0]
        if place in SLOW or place.partition("::")[0] in SLOW:
            item.add_marker(pytest.mark.slow)
        if item.nodeid in THOROUGH or place in THOROUGH or place.partition("::")[0] in THOROUGH:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.thorough)
        for skip in item.iter_markers("skipif"):
            reason = str(skip.kwargs.get("reason", ""))
            for word, mark in NEEDS.items():
                if word in reason:
                    item.add_marker(mark)
    heavy = {item.path for item in items if any(map(item.get_closest_marker, ("browser", "slow")))}
    items.sort(key=lambda item: item.path not in heavy)
