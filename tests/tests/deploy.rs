//! What is in `deploy/`: the chart as a real Helm renders it, the compose file as Compose reads it, the image file as a linter does, the
//! alert rules against what the binary counts.
//!
//! No cluster and no container engine is started: that the images build, and that Kubernetes runs what it is given, is not shown here.
//! docs/guides/deploying.md says how to look at that by hand.

mod deploy {
    mod alerts;
    mod chart;
    mod images;
    mod tools;
}
