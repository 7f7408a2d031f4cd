//! Reader of the protobuf wire format, as far as SentencePiece models need it: fields in any order, unknown ones skipped.

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
}

/// A field's value as the wire has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub(super) fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn float(self) -> Option<f32> {
        if let Self::Fixed32(bytes) = self { Some(f32::from_le_bytes(bytes)) } else { None }
    }

    /// An `int32` or enumeration; negative numbers are sign-extended to 64 bits on the wire.
    pub(super) fn int(self) -> Option<i32> {
        if let Self::Varint(value) = self { i32::try_from(value.cast_signed()).ok() } else { None }
    }

    pub(super) fn bool(self) -> Option<bool> {
        if let Self::Varint(value) = self { Some(value != 0) } else { None }
    }
}

/// Goes through the fields of a message; ends after the first damaged one.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    damaged: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, damaged: false }
    }

    fn field(&mut self) -> Option<Field<'a>> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.take(8)?.try_into().ok()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(self.take(4)?.try_into().ok()?),
            _ => return None,
        };
        let number = tag >> 3;
        (number != 0).then_some(Field { number, value })
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    /// A field, or the byte position of the damage.
    type Item = Result<Field<'a>, usize>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.damaged || self.at >= self.bytes.len() {
            return None;
        }
        let start = self.at;
        let field = self.field().ok_or(start);
        self.damaged = field.is_err();
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_in_order_with_their_values() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1D, 0, 0, 0x80, 0x3F];
        let fields: Vec<_> = Fields::of(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields[0], Field { number: 1, value: Value::Varint(150) });
        assert_eq!(fields[1].value.text(), Some("hi"));
        assert_eq!(fields[2].value.float(), Some(1.0));
    }

    #[test]
    fn negative_numbers_are_ten_bytes_long() {
        let minus_one = [0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
        assert_eq!(Fields::of(&minus_one).next().unwrap().unwrap().value.int(), Some(-1));
    }

    #[test]
    fn damage_is_reported_once_with_its_place() {
        let bytes = [0x08, 0x01, 0x12, 0x7F, b'x'];
        assert_eq!(Fields::of(&bytes).map(|field| field.err()).collect::<Vec<_>>(), [None, Some(2)]);
    }
}
