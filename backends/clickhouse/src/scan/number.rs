//! Which texts are numbers, and which, in SQL: as [`rookery_core::filter::eval::number`] reads them.
//!
//! The forms that nearly all numbers in logs have are decided by the server: whole numbers of up to 18 digits, decimals, durations and
//! sizes of one part, addresses. A text that begins as a number does and has none of these forms (`1h30m`, `0x1f`, `1_000`, a
//! time) lies between the bounds, and is decided above the store.

use super::bounds::{Bounds, Sql};
use super::params::Params;

const DIGITS: &str = "'^-?[0-9]{1,18}$'";
const DECIMAL: &str = r"'^[-+]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][-+]?[0-9]+)?$'";
const WITH_UNIT: &str =
    r"'^-?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:ms|us|µs|ns|s|m|h|d|w|y|[KMGT]i?B?|B)$'";
const ADDRESS: &str = r"'^[0-9]{1,3}(?:[.][0-9]{1,3}){3}$'";
/// What every number begins with.
const NUMERIC: &str = "'^[-+]*[0-9.iI]'";

/// The units and their values, in the server's syntax.
const UNITS: &str = "['ms','us','µs','ns','s','m','h','d','w','y','KiB','MiB','GiB','TiB','Ki','Mi','Gi','Ti','KB','MB','GB','TB','B','K','M','G','T']";
const VALUES: &str = "[1000000.,1000.,1000.,1.,1000000000.,60000000000.,3600000000000.,86400000000000.,604800000000000.,31536000000000000.,1024.,1048576.,1073741824.,1099511627776.,1024.,1048576.,1073741824.,1099511627776.,1000.,1000000.,1000000000.,1000000000000.,1.,1000.,1000000.,1000000000.,1000000000000.]";

/// The text is a number from `min` to `max`.
pub(crate) fn range(params: &mut Params, text: &str, min: f64, max: f64) -> Bounds {
    let (min, max) = (params.number(min), params.number(max));
    let inside = |value: &str| format!("({value}) BETWEEN {min} AND {max}");
    let digits = inside(&format!("toFloat64(toInt64OrZero({text}))"));
    let decimal = inside(&format!("toFloat64OrZero({text})"));
    let number = format!("toFloat64OrZero(extract({text}, '^-?([0-9.]+)'))");
    let unit = format!("transform(extract({text}, '[^0-9.]+$'), {UNITS}, {VALUES}, 0.)");
    let with_unit =
        inside(&format!("trunc({number} * {unit}) * if(startsWith({text}, '-'), -1, 1)"));
    let address = inside(&format!("toFloat64({})", address_value(text)));
    let address = format!("{} AND {address}", is_address(text));
    let bound = |unknown: &str| {
        Sql::new(format_args!(
            "multiIf(match({text}, {DIGITS}), {digits}, match({text}, {DECIMAL}), {decimal}, match({text}, {WITH_UNIT}), {with_unit}, \
             match({text}, {ADDRESS}), {address}, {unknown})"
        ))
    };
    let upper = bound(&format!("match({text}, {NUMERIC})"));
    Bounds { upper, lower: bound("0") }
}

/// The text is an address from `min` to `max`.
pub(crate) fn ipv4_range(params: &mut Params, text: &str, min: u32, max: u32) -> Bounds {
    let (min, max) = (params.int(min.into()), params.int(max.into()));
    let value = address_value(text);
    Bounds::of(format_args!(
        "match({text}, {ADDRESS}) AND {} AND ({value}) BETWEEN {min} AND {max}",
        is_address(text)
    ))
}

/// Whether no part of what looks like an address is too large.
fn is_address(text: &str) -> String {
    format!("arrayAll(octet -> toUInt32OrZero(octet) <= 255, splitByChar('.', {text}))")
}

fn address_value(text: &str) -> String {
    let octet =
        |place: usize| format!("toInt64(toUInt32OrZero(splitByChar('.', {text})[{place}]))");
    format!("{} * 16777216 + {} * 65536 + {} * 256 + {}", octet(1), octet(2), octet(3), octet(4))
}

/// A number that is one lies in the span.
pub(crate) fn between(params: &mut Params, value: &str, min: f64, max: f64) -> Bounds {
    let (min, max) = (params.number(min), params.number(max));
    Bounds::of(format_args!("{value} BETWEEN {min} AND {max}"))
}
