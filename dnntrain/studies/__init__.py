"""What is asked: arms, designs, presets, tuning."""
