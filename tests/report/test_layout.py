"""Labels of panels that stand beside each other."""

from hepjax.report import layout


def test_a_label_that_the_first_panel_of_a_row_has_is_left_out_in_the_others():
    figure, grid = layout.panel_grid(5, 3, [1.5])
    for label, (axis,) in zip(["events", "events", "ratio", "share", "share"], grid, strict=True):
        axis.set_ylabel(label)
    layout.once_a_row(figure)
    labels = [axis.get_ylabel() for (axis,) in grid]
    assert labels == ["events", "", "ratio", "share", ""]


def test_axes_above_one_another_keep_their_labels():
    figure, ((above, below),) = layout.panel_grid(1, 2, [1.5, 0.7])
    for axis in (above, below):
        axis.set_ylabel("events")
    other = above.twinx()
    other.set_ylabel("events")
    layout.once_a_row(figure)
    assert [axis.get_ylabel() for axis in (above, below, other)] == ["events"] * 3
