//! Sets of flags.

/// Defines a set of flags as a number with named bits.
macro_rules! flags {
    ($(#[$doc:meta])* $name:ident: $int:ty { $($(#[$bit_doc:meta])* $bit:ident = $value:expr;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub $int);

        impl $name {
            $($(#[$bit_doc])* pub const $bit: Self = Self($value);)+
            /// No flag.
            pub const NONE: Self = Self(0);
            /// All flags that have a name here.
            pub const ALL: Self = Self(0 $(| $value)+);

            /// Whether all flags of `other` are in this set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// This set without the flags of `other`.
            #[must_use]
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// The flags of both sets.
            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// This set with the flags of `other` if `condition` holds.
            #[must_use]
            pub const fn with_if(self, other: Self, condition: bool) -> Self {
                if condition { self.union(other) } else { self }
            }

            /// Whether there is no flag.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }
    };
}

flags! {
    /// What a server says of itself in its first message.
    HandshakeFlags: u16 {
        /// The server speaks the fixed newstyle handshake.
        FIXED_NEWSTYLE = 1;
        /// The server omits the 124 zero bytes after `EXPORT_NAME` if the client agrees.
        NO_ZEROES = 2;
    }
}

flags! {
    /// How a client answers that.
    ClientFlags: u32 {
        /// The client speaks the fixed newstyle handshake.
        FIXED_NEWSTYLE = 1;
        /// The client expects no zero bytes after `EXPORT_NAME`.
        NO_ZEROES = 2;
    }
}

flags! {
    /// What an export is capable of.
    TransmissionFlags: u16 {
        /// Set always.
        HAS_FLAGS = 1;
        /// Writes are refused.
        READ_ONLY = 1 << 1;
        /// FLUSH is understood.
        FLUSH = 1 << 2;
        /// The flag FUA is understood.
        FUA = 1 << 3;
        /// The export is on a rotating disk.
        ROTATIONAL = 1 << 4;
        /// TRIM is understood.
        TRIM = 1 << 5;
        /// `WRITE_ZEROES` is understood.
        WRITE_ZEROES = 1 << 6;
        /// READ understands the flag DF; set if and only if structured replies were agreed on.
        DF = 1 << 7;
        /// A FLUSH on one connection covers what was answered on any other.
        CAN_MULTI_CONN = 1 << 8;
        /// CACHE is understood.
        CACHE = 1 << 10;
        /// `WRITE_ZEROES` understands the flag `FAST_ZERO`.
        FAST_ZERO = 1 << 11;
    }
}

flags! {
    /// How a command is to be done.
    CommandFlags: u16 {
        /// Reply when the data are on stable storage.
        FUA = 1;
        /// `WRITE_ZEROES` must not leave a hole.
        NO_HOLE = 1 << 1;
        /// READ is to be answered by one chunk at most.
        DF = 1 << 2;
        /// `BLOCK_STATUS` is to give one extent.
        REQ_ONE = 1 << 3;
        /// `WRITE_ZEROES` is to be quick, or to fail with `ENOTSUP`.
        FAST_ZERO = 1 << 4;
    }
}

flags! {
    /// What `base:allocation` says of an extent.
    AllocationFlags: u32 {
        /// Nothing is allocated.
        HOLE = 1;
        /// It reads as zeroes.
        ZERO = 2;
    }
}
