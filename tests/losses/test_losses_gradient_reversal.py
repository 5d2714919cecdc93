import torch

from landbridge.losses import dann_ramp, domain_loss, reverse_gradient


def test_forward_is_the_identity_and_backward_is_exactly_minus_scale(draw):
    x, gradient = draw(3, 4).requires_grad_(), draw(3, 4)
    for scale in (0.0, 0.3, torch.tensor(0.3)):
        y = reverse_gradient(x, scale)
        assert torch.equal(y, x)
        (received,) = torch.autograd.grad(y, x, gradient)
        assert torch.equal(received, -scale * gradient)


def test_it_has_the_gradient_of_the_negated_function(draw):
    x = draw(3, 4).requires_grad_()
    (reversed_,) = torch.autograd.grad(reverse_gradient(x, 0.7).sin().sum(), x)

    def negated(z):
        return -0.7 * z.sin()

    assert torch.autograd.gradcheck(negated, x)
    (expected,) = torch.autograd.grad(negated(x).sum(), x)
    torch.testing.assert_close(reversed_, expected)


def test_the_second_derivative_exists(draw):
    x = draw(5).requires_grad_()
    (first,) = torch.autograd.grad(reverse_gradient(x, 0.5).pow(3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    # The derivative of -0.5 * 3 R(x)^2 is -0.5 * 6 x, which the inner reversal negates and scales once more.
    torch.testing.assert_close(second, -0.5 * -0.5 * 6 * x.detach())


def test_runs_under_vmap_can_have_different_scales(draw):
    x, scales = draw(4, 3), torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    gradient = torch.func.grad(lambda z, scale: reverse_gradient(z, scale).square().sum())
    torch.testing.assert_close(torch.func.vmap(gradient)(x, scales), -scales[:, None] * 2 * x)


def test_the_scale_affects_only_the_encoder(draw):
    x, encoder, discriminator = draw(8, 5), draw(5, 4).requires_grad_(), draw(4, 1).requires_grad_()

    def gradients(transform):
        logits = transform(x @ encoder) @ discriminator
        return torch.autograd.grad(domain_loss(logits[:4], logits[4:]), [encoder, discriminator])

    encoder_plain, discriminator_plain = gradients(lambda f: f)
    for scale in (0.0, 0.25):
        encoder_reversed, discriminator_reversed = gradients(lambda f, scale=scale: reverse_gradient(f, scale))
        torch.testing.assert_close(encoder_reversed, -scale * encoder_plain)
        assert torch.equal(discriminator_reversed, discriminator_plain)


def test_a_small_step_raises_the_domain_loss_for_the_encoder_and_lowers_it_for_the_discriminator(draw):
    x, encoder, discriminator = draw(8, 5), draw(5, 4).requires_grad_(), draw(4, 1).requires_grad_()
    x[:4] += 1

    def loss(e, d, scale=1.0):
        logits = reverse_gradient(x @ e, scale) @ d
        return domain_loss(logits[:4], logits[4:])

    before = loss(encoder, discriminator)
    e_gradient, d_gradient = torch.autograd.grad(before, [encoder, discriminator])
    assert loss(encoder - 1e-4 * e_gradient, discriminator) > before
    assert loss(encoder, discriminator - 1e-4 * d_gradient) < before


def test_ramp(given, golden):
    golden(dann_ramp(given["dann_progress"]), "dann_lambda")
    golden([dann_ramp(t) for t in given["dann_progress"].tolist()], "dann_lambda")
    golden(dann_ramp(given["tllib_grl_iterations"].double() / 1000, steepness=1.0), "tllib_grl_lambda")
