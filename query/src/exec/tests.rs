//! What queries answer, by tables: records in, pipes, records out.

mod limits;
mod pipes;
mod planning;
mod stats;
