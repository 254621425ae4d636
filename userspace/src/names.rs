// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of input events that the tables of `evdev` lack: newer codes, and second
//! names of codes that have one.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::input::Input;

/// Type, code and name. Where a code has no name in `evdev`, the first one here is
/// the one that is printed.
const MORE: &[(u16, u16, &str)] = &[
    (0x01, 0x07a, "KEY_HANGUEL"),
    (0x01, 0x098, "KEY_SCREENLOCK"),
    (0x01, 0x099, "KEY_ROTATE_DISPLAY"),
    (0x01, 0x0cc, "KEY_ALL_APPLICATIONS"),
    (0x01, 0x0f4, "KEY_BRIGHTNESS_ZERO"),
    (0x01, 0x0f6, "KEY_WIMAX"),
    (0x01, 0x100, "BTN_MISC"),
    (0x01, 0x110, "BTN_MOUSE"),
    (0x01, 0x120, "BTN_JOYSTICK"),
    (0x01, 0x130, "BTN_GAMEPAD"),
    (0x01, 0x130, "BTN_A"),
    (0x01, 0x131, "BTN_B"),
    (0x01, 0x133, "BTN_X"),
    (0x01, 0x134, "BTN_Y"),
    (0x01, 0x140, "BTN_DIGI"),
    (0x01, 0x149, "BTN_STYLUS3"),
    (0x01, 0x150, "BTN_WHEEL"),
    (0x01, 0x174, "KEY_FULL_SCREEN"),
    (0x01, 0x177, "KEY_ASPECT_RATIO"),
    (0x01, 0x1af, "KEY_BRIGHTNESS_TOGGLE"),
    (0x01, 0x1bc, "KEY_NOTIFICATION_CENTER"),
    (0x01, 0x1bf, "KEY_LINK_PHONE"),
    (0x01, 0x1e5, "KEY_FN_RIGHT_SHIFT"),
    (0x01, 0x224, "BTN_GRIPL"),
    (0x01, 0x225, "BTN_GRIPR"),
    (0x01, 0x226, "BTN_GRIPL2"),
    (0x01, 0x227, "BTN_GRIPR2"),
    (0x01, 0x231, "KEY_ROTATE_LOCK_TOGGLE"),
    (0x01, 0x232, "KEY_REFRESH_RATE_TOGGLE"),
    (0x01, 0x249, "KEY_EMOJI_PICKER"),
    (0x01, 0x24a, "KEY_DICTATE"),
    (0x01, 0x24b, "KEY_CAMERA_ACCESS_ENABLE"),
    (0x01, 0x24c, "KEY_CAMERA_ACCESS_DISABLE"),
    (0x01, 0x24d, "KEY_CAMERA_ACCESS_TOGGLE"),
    (0x01, 0x24e, "KEY_ACCESSIBILITY"),
    (0x01, 0x24f, "KEY_DO_NOT_DISTURB"),
    (0x01, 0x252, "KEY_EPRIVACY_SCREEN_ON"),
    (0x01, 0x253, "KEY_EPRIVACY_SCREEN_OFF"),
    (0x01, 0x254, "KEY_ACTION_ON_SELECTION"),
    (0x01, 0x255, "KEY_CONTEXTUAL_INSERT"),
    (0x01, 0x256, "KEY_CONTEXTUAL_QUERY"),
    (0x01, 0x27b, "KEY_NEXT_ELEMENT"),
    (0x01, 0x27c, "KEY_PREVIOUS_ELEMENT"),
    (0x01, 0x27d, "KEY_AUTOPILOT_ENGAGE_TOGGLE"),
    (0x01, 0x27e, "KEY_MARK_WAYPOINT"),
    (0x01, 0x27f, "KEY_SOS"),
    (0x01, 0x280, "KEY_NAV_CHART"),
    (0x01, 0x281, "KEY_FISHING_CHART"),
    (0x01, 0x282, "KEY_SINGLE_RANGE_RADAR"),
    (0x01, 0x283, "KEY_DUAL_RANGE_RADAR"),
    (0x01, 0x284, "KEY_RADAR_OVERLAY"),
    (0x01, 0x285, "KEY_TRADITIONAL_SONAR"),
    (0x01, 0x286, "KEY_CLEARVU_SONAR"),
    (0x01, 0x287, "KEY_SIDEVU_SONAR"),
    (0x01, 0x288, "KEY_NAV_INFO"),
    (0x01, 0x289, "KEY_BRIGHTNESS_MENU"),
    (0x01, 0x290, "KEY_MACRO1"),
    (0x01, 0x291, "KEY_MACRO2"),
    (0x01, 0x292, "KEY_MACRO3"),
    (0x01, 0x293, "KEY_MACRO4"),
    (0x01, 0x294, "KEY_MACRO5"),
    (0x01, 0x295, "KEY_MACRO6"),
    (0x01, 0x296, "KEY_MACRO7"),
    (0x01, 0x297, "KEY_MACRO8"),
    (0x01, 0x298, "KEY_MACRO9"),
    (0x01, 0x299, "KEY_MACRO10"),
    (0x01, 0x29a, "KEY_MACRO11"),
    (0x01, 0x29b, "KEY_MACRO12"),
    (0x01, 0x29c, "KEY_MACRO13"),
    (0x01, 0x29d, "KEY_MACRO14"),
    (0x01, 0x29e, "KEY_MACRO15"),
    (0x01, 0x29f, "KEY_MACRO16"),
    (0x01, 0x2a0, "KEY_MACRO17"),
    (0x01, 0x2a1, "KEY_MACRO18"),
    (0x01, 0x2a2, "KEY_MACRO19"),
    (0x01, 0x2a3, "KEY_MACRO20"),
    (0x01, 0x2a4, "KEY_MACRO21"),
    (0x01, 0x2a5, "KEY_MACRO22"),
    (0x01, 0x2a6, "KEY_MACRO23"),
    (0x01, 0x2a7, "KEY_MACRO24"),
    (0x01, 0x2a8, "KEY_MACRO25"),
    (0x01, 0x2a9, "KEY_MACRO26"),
    (0x01, 0x2aa, "KEY_MACRO27"),
    (0x01, 0x2ab, "KEY_MACRO28"),
    (0x01, 0x2ac, "KEY_MACRO29"),
    (0x01, 0x2ad, "KEY_MACRO30"),
    (0x01, 0x2b0, "KEY_MACRO_RECORD_START"),
    (0x01, 0x2b1, "KEY_MACRO_RECORD_STOP"),
    (0x01, 0x2b2, "KEY_MACRO_PRESET_CYCLE"),
    (0x01, 0x2b3, "KEY_MACRO_PRESET1"),
    (0x01, 0x2b4, "KEY_MACRO_PRESET2"),
    (0x01, 0x2b5, "KEY_MACRO_PRESET3"),
    (0x01, 0x2b8, "KEY_KBD_LCD_MENU1"),
    (0x01, 0x2b9, "KEY_KBD_LCD_MENU2"),
    (0x01, 0x2ba, "KEY_KBD_LCD_MENU3"),
    (0x01, 0x2bb, "KEY_KBD_LCD_MENU4"),
    (0x01, 0x2bc, "KEY_KBD_LCD_MENU5"),
    (0x01, 0x2bd, "KEY_PERFORMANCE"),
    (0x01, 0x2c0, "BTN_TRIGGER_HAPPY"),
    (0x01, 0x071, "KEY_MIN_INTERESTING"),
    (0x03, 0x021, "ABS_PROFILE"),
    (0x03, 0x022, "ABS_SND_PROFILE"),
    (0x03, 0x02e, "ABS_RESERVED"),
    (0x05, 0x003, "SW_RADIO"),
    (0x05, 0x011, "SW_USB_INSERT"),
    (0x15, 0x050, "FF_RUMBLE"),
    (0x15, 0x051, "FF_PERIODIC"),
    (0x15, 0x052, "FF_CONSTANT"),
    (0x15, 0x053, "FF_SPRING"),
    (0x15, 0x054, "FF_FRICTION"),
    (0x15, 0x055, "FF_DAMPER"),
    (0x15, 0x056, "FF_INERTIA"),
    (0x15, 0x057, "FF_RAMP"),
    (0x15, 0x058, "FF_SQUARE"),
    (0x15, 0x059, "FF_TRIANGLE"),
    (0x15, 0x05a, "FF_SINE"),
    (0x15, 0x05b, "FF_SAW_UP"),
    (0x15, 0x05c, "FF_SAW_DOWN"),
    (0x15, 0x05d, "FF_CUSTOM"),
    (0x15, 0x060, "FF_GAIN"),
    (0x15, 0x061, "FF_AUTOCENTER"),
];

/// The highest type and code that can have a name (`EV_UINPUT` of `evdev`, `KEY_MAX`).
const TYPE_MAX: u16 = 0x101;
const CODE_MAX: u16 = 0x2ff;

/// Numbers by name: of a type, or of a code with its type.
static NUMBERS: LazyLock<HashMap<String, (u16, Option<u16>)>> = LazyLock::new(|| {
    let mut numbers = HashMap::new();
    for type_ in 0..=TYPE_MAX {
        let of_code = |code| Input {
            type_,
            code,
            value: 0,
        };
        let Some(name) = of_code(0).type_name() else {
            continue;
        };
        numbers.insert(name, (type_, None));
        for code in 0..=CODE_MAX {
            if let Some(name) = of_code(code).code_name() {
                numbers.entry(name).or_insert((type_, Some(code)));
            }
        }
    }
    for &(type_, code, name) in MORE {
        numbers.entry(name.into()).or_insert((type_, Some(code)));
    }
    numbers
});

/// The numbers behind a name.
pub(crate) fn numbers(name: &str) -> Option<(u16, Option<u16>)> {
    NUMBERS.get(name).copied()
}

/// The name of a code that `evdev` has none for.
pub(crate) fn more(type_: u16, code: u16) -> Option<&'static str> {
    let found = MORE.iter().find(|more| (more.0, more.1) == (type_, code));
    found.map(|(.., name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_names_mean_the_code_that_has_the_first() {
        for (name, type_, code) in [
            ("BTN_A", 1, 0x130),
            ("BTN_SOUTH", 1, 0x130),
            ("BTN_GAMEPAD", 1, 0x130),
            ("KEY_HANGUEL", 1, 122),
            ("KEY_HANGEUL", 1, 122),
            ("KEY_SCREENLOCK", 1, 152),
            ("SW_RADIO", 5, 3),
            ("FF_RUMBLE", 0x15, 0x50),
        ] {
            assert_eq!(numbers(name), Some((type_, Some(code))), "{name}");
        }
        assert_eq!(numbers("EV_FF"), Some((0x15, None)));
        assert_eq!(numbers("KEY_"), None);
    }

    #[test]
    fn newer_codes_have_a_name_in_both_directions() {
        let input = Input {
            type_: 1,
            code: 0x290,
            value: 1,
        };
        assert_eq!(input.to_string(), "EV_KEY KEY_MACRO1 press");
        assert_eq!(numbers("KEY_MACRO1"), Some((1, Some(0x290))));
        // The names of `evdev` stay: both are the kernel's.
        let input = Input {
            type_: 1,
            code: 0x130,
            value: 1,
        };
        assert_eq!(input.code_name().as_deref(), Some("BTN_SOUTH"));
    }

    /// Every name that the system's header gives to a code. A newer header may have
    /// codes that are not known here; of the others it may have no other name.
    #[test]
    fn every_name_of_the_header_is_known() {
        const HEADER: &str = "/usr/include/linux/input-event-codes.h";
        let header = std::fs::read_to_string(HEADER)
            .unwrap_or_else(|error| panic!("{HEADER}: {error}; install linux-libc-dev"));
        let prefixes = [
            ("SYN_", 0),
            ("KEY_", 1),
            ("BTN_", 1),
            ("REL_", 2),
            ("ABS_", 3),
            ("MSC_", 4),
            ("SW_", 5),
            ("LED_", 0x11),
            ("SND_", 0x12),
            ("REP_", 0x14),
        ];
        let mut defined: HashMap<&str, (u16, u16)> = HashMap::new();
        for line in header.lines() {
            let mut words = line.split_whitespace();
            let (Some("#define"), Some(name), Some(value)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Some((_, type_)) = prefixes.iter().find(|(start, _)| name.starts_with(start))
            else {
                continue;
            };
            let code = match value.strip_prefix("0x") {
                Some(digits) => u16::from_str_radix(digits, 16).ok(),
                None => value.parse().ok(),
            };
            let other = defined.get(value.trim_matches(['(', ')']));
            if let Some(code) = code.or(other.map(|(_, code)| *code)) {
                defined.insert(name, (*type_, code));
            }
        }
        let mut checked = 0;
        for (name, (type_, code)) in defined {
            let no_code = ["_MAX", "_CNT"].iter().any(|end| name.ends_with(end));
            let input = Input {
                type_,
                code,
                value: 0,
            };
            // Values of ABS_SND_PROFILE are no codes.
            if no_code || name.starts_with("SND_PROFILE_") || input.code_name().is_none() {
                continue;
            }
            assert_eq!(numbers(name), Some((type_, Some(code))), "{name}");
            checked += 1;
        }
        assert!(checked > 600, "only {checked} names in {HEADER}");
    }
}
