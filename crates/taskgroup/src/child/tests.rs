use super::*;

fn size_beside<F: Future<Output = Result<(), String>>>(child: &F) -> usize {
    size_of::<Child<F, (), (), String>>() - size_of_val(child)
}

#[test]
fn what_stands_beside_a_child_is_a_pointer_two_numbers_and_a_tag() {
    assert!(size_beside(&async { Ok(()) }) <= 24);
    let captured = 5_u64;
    let capturing = async move {
        std::hint::black_box(captured);
        Ok(())
    };
    assert!(size_beside(&capturing) <= 24);
}
