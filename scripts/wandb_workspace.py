#!/usr/bin/env python
"""Create a wandb workspace that shows landbridge's runs grouped by pair and strategy.

The script needs an account (`wandb login`), synced runs (`wandb sync`, or `logger=wandb logger.offline=false`), and
`pip install 'landbridge[workspace]'`:

    python scripts/wandb_workspace.py my-team --project landbridge
"""

import argparse

import wandb_workspaces.reports.v2 as panels
import wandb_workspaces.workspaces as workspaces

ROLES = ("target", "source")


def workspace(entity: str, project: str, name: str) -> workspaces.Workspace:
    """Return the workspace; nothing is sent to wandb before `save` is called."""
    results = [
        panels.BarPlot(title=f"{role} accuracy", metrics=[f"test/{role}/accuracy"], orientation="h") for role in ROLES
    ]
    trade = panels.ScatterPlot(
        title="generalisation and specialisation", x="test/source/accuracy", y="test/target/accuracy"
    )
    calibration = panels.BarPlot(title="target calibration error", metrics=["test/target/ece"], orientation="h")
    oracle = panels.BarPlot(title="ORACLE target accuracy", metrics=["oracle/target/accuracy"], orientation="h")
    training = [
        panels.LinePlot(title="supervised loss", y=["train/supervised"]),
        panels.LinePlot(title="source validation accuracy", y=["val/source_val"]),
        panels.LinePlot(title="information maximisation", y=["val/im"]),
    ]
    single = [
        panels.MediaBrowser(title="most confident mistakes", media_keys=["test/confident_mistakes"]),
        panels.WeavePanelSummaryTable(table_name="test/embedding"),
        panels.WeavePanelSummaryTable(table_name="oracle/selection"),
    ]
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            workspaces.Section(name="Test results", panels=[*results, trade, calibration, oracle], is_open=True),
            workspaces.Section(name="Training", panels=training, is_open=True),
            workspaces.Section(name="Single runs", panels=single),
        ],
        runset_settings=workspaces.RunsetSettings(
            groupby=[workspaces.Summary("pair"), workspaces.Summary("strategy")],
            order=[workspaces.Ordering(workspaces.Summary("test/target/accuracy"), ascending=False)],
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("entity", help="your user or team name on wandb")
    parser.add_argument("--project", default="landbridge")
    parser.add_argument("--name", default="landbridge", help="name of the workspace")
    options = parser.parse_args()
    print(workspace(options.entity, options.project, options.name).save().url)


if __name__ == "__main__":
    main()
