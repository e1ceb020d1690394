//! Proof that `tidewire-codec` does without the standard library: this crate brings its own panic handler, so anything
//! that linked `std` would bring a second one, and the build would fail with `duplicate lang item`.
//!
//! `cargo build --manifest-path codec/no-std-check/Cargo.toml`
//!
//! `unsafe` is needed here and nowhere else: an allocator cannot be declared without it. The crate stands outside of
//! the workspace for that reason. It is built and never run.

#![no_std]

use core::alloc::{GlobalAlloc, Layout};

use tidewire_codec::Frame;
use tidewire_codec::view::MessageView;

/// Has no memory to give.
struct NoMemory;

// SAFETY: `alloc` always says that there is no memory, which the contract allows, so `dealloc` is never called.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Reaches the decoding of every frame, so that none of it is left out of the link.
pub fn reach(frame: &tidewire_codec::RawFrame) -> Option<Frame> {
    let _ = MessageView::decode(&frame.body);
    frame.decode().ok()
}
