//! As much of protocol buffers as event files need: messages are built field by field, and read back field by field.

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// A message under construction; fields are written in the order of the calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A message without fields.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The message's encoding.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds an integer, an enumeration value or a boolean.
    pub(super) fn integer(mut self, field: u32, value: u64) -> Self {
        self.key(field, VARINT);
        self.varint(value);
        self
    }

    /// Adds a 64-bit float.
    pub(super) fn double(mut self, field: u32, value: f64) -> Self {
        self.key(field, FIXED64);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds a 32-bit float.
    pub(super) fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, FIXED32);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds bytes.
    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, BYTES);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// Adds a text.
    pub(super) fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// Adds a message.
    pub(super) fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    fn key(&mut self, field: u32, wire_type: u64) {
        self.varint(u64::from(field) << 3 | wire_type);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}

/// The value of a field that was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field<'a> {
    /// An integer, an enumeration value or a boolean.
    Integer(u64),
    /// Bytes, a text or a message.
    Bytes(&'a [u8]),
    /// A fixed-width number, which no reader here needs.
    Fixed,
}

/// The fields of an encoded message in their order; `None` if it is damaged.
pub(super) fn fields(mut encoded: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !encoded.is_empty() {
        let key = take_varint(&mut encoded)?;
        let field = match key & 7 {
            VARINT => Field::Integer(take_varint(&mut encoded)?),
            FIXED64 => encoded.split_off(..8).map(|_| Field::Fixed)?,
            BYTES => {
                let length = usize::try_from(take_varint(&mut encoded)?).ok()?;
                Field::Bytes(encoded.split_off(..length)?)
            }
            FIXED32 => encoded.split_off(..4).map(|_| Field::Fixed)?,
            _ => return None,
        };
        fields.push((key >> 3, field));
    }
    Some(fields)
}

/// All sub-messages, texts and byte fields of that number; none if the message is damaged.
pub(super) fn bytes_of(encoded: &[u8], number: u64) -> Vec<&[u8]> {
    let wanted = |(found, field)| match field {
        Field::Bytes(bytes) if found == number => Some(bytes),
        _ => None,
    };
    fields(encoded).unwrap_or_default().into_iter().filter_map(wanted).collect()
}

fn take_varint(encoded: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *encoded.split_off_first()?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Field, Message, bytes_of, fields};

    #[test]
    fn varints_take_seven_bits_a_byte() {
        let encoded = |value| Message::new().integer(1, value).as_bytes().to_vec();
        assert_eq!(encoded(0), [0x08, 0]);
        assert_eq!(encoded(127), [0x08, 0x7F]);
        assert_eq!(encoded(128), [0x08, 0x80, 0x01]);
        assert_eq!(encoded(150), [0x08, 0x96, 0x01]);
        assert_eq!(encoded(u64::MAX), [&[0x08][..], &[0xFF; 9], &[0x01]].concat());
    }

    #[test]
    fn high_field_numbers_take_two_bytes() {
        assert_eq!(Message::new().text(200, "a").as_bytes(), [0xC2, 0x0C, 1, b'a']);
    }

    #[test]
    fn what_is_written_is_read() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let inner = Message::new().text(16, "0.5");
            let message = Message::new().integer(1, value).double(2, 0.5).float(3, 0.5).message(4, &inner);
            let read = fields(message.as_bytes()).unwrap();
            assert_eq!(read[0], (1, Field::Integer(value)));
            assert_eq!(read[1..3], [(2, Field::Fixed), (3, Field::Fixed)]);
            assert_eq!(bytes_of(message.as_bytes(), 4), [inner.as_bytes()]);
        }
    }

    #[test]
    fn damaged_messages_are_recognised() {
        let message = Message::new().double(1, 1.0).text(2, "text");
        let whole = message.as_bytes();
        let boundary = 9;
        for end in (1..whole.len()).filter(|end| *end != boundary) {
            assert_eq!(fields(&whole[..end]), None, "cut at {end}");
        }
        assert_eq!(fields(&[0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]), None);
    }
}
